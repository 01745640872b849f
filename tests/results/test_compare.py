"""`tempme compare`: anyone's runs in one table, seeds together."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from results_material import run
from tempme.errors import BadDataset
from tempme.results.compare import as_csv, as_markdown, compared, read

TEMPME = str(Path(sys.executable).with_name("tempme"))


def save(folder: Path, made: dict[str, Any], name: str = "result.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(made))
    return folder


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two seeds of one experiment, another one, and one of the first name with other settings."""
    save(tmp_path / "a", run("tempme", 0, r1=40.0))
    save(tmp_path / "b", run("tempme", 1, r1=44.0))
    save(tmp_path / "c", run("lora", 0, r1=30.0))
    changed = run("tempme", 0, r1=20.0)
    changed["settings"]["recipe"] = {"steps": 10, "batch": 64}
    save(tmp_path / "d", changed)
    return tmp_path


def test_seeds_are_put_together_and_settings_kept_apart(runs: Path) -> None:
    found = compared(read([runs / "a", runs / "b", runs / "c" / "result.json", runs / "d"]))
    assert {name: one["seeds"] for name, one in found.items()} == {
        "scenes/tempme (a)": [0, 1],
        "scenes/lora": [0],
        "scenes/tempme (d)": [0],
    }
    assert found.keys() == compared(read([runs])).keys()  # a folder of them all, each once
    head, _, *rows = as_markdown(found).splitlines()
    assert head.startswith("| experiment | tokens | multiply-adds (G) |")
    assert rows[0].startswith("| scenes/tempme (a) | 97 | 1.58 |")
    assert "42.0 ± 2.8" in rows[0]
    table = list(csv.DictReader(as_csv(found).splitlines()))
    assert [row["seeds"] for row in table] == ["0 1", "0", "0"]
    assert float(table[0]["static.t2v.r1"]) == 42
    assert float(table[0]["static.t2v.r1.spread"]) == pytest.approx(2.828, abs=1e-3)
    assert table[1]["static.t2v.r1.spread"] == ""


def test_what_holds_no_result(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="holds no result: give folders that `tempme train"):
        read([tmp_path])
    with pytest.raises(BadDataset, match="holds no result"):
        read([tmp_path / "nowhere"])
    (tmp_path / "result.json").write_text("{}")
    with pytest.raises(BadDataset, match="is not a result of `tempme train`"):
        read([tmp_path])


@pytest.mark.slow
def test_the_verb(runs: Path) -> None:
    def tempme(*args: object) -> subprocess.CompletedProcess[str]:
        command = [TEMPME, "compare", *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = tempme(runs, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["scenes/lora"]["metrics"]["static"]["t2v"]["r1"]["mean"] == 30
    assert "| scenes/lora |" in tempme(runs).stdout
    wrong = tempme(runs, "--format", "latex")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("error: no format 'latex'")
