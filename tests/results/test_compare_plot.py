"""`tempme compare --plot`: what is drawn is what the runs say, in the format of the suffix."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from results_material import run
from tempme.errors import BadDataset, BadSetting, MissingExtra
from tempme.results.accuracy import Summary
from tempme.results.plot import accuracy_plot, check_plot, data_of, save_plot
from tempme.results.runs import summarize

TEMPME = str(Path(sys.executable).with_name("tempme"))
STARTS = {".png": b"\x89PNG", ".svg": b"<?xml", ".pdf": b"%PDF-"}


def costing(gmacs: float, *runs: dict[str, Any]) -> Summary:
    for one in runs:
        one["cost"]["gmacs"] = gmacs
    return summarize(runs)


def three() -> dict[str, Summary]:
    return {
        "tempme": costing(1.0, run("tempme", 0, r1=40.0), run("tempme", 1, r1=44.0)),
        "lora": costing(1.5, run("lora", 0, r1=30.0)),
        "tome": costing(1.0, run("tome", 0, r1=35.0)),
    }


def heights(axes: Any) -> list[float]:
    return sorted(float(line.get_ydata()[0]) for line in axes.lines if len(line.get_ydata()) == 1)


def test_bars_are_as_long_as_seeds_differ() -> None:
    figure = accuracy_plot({"scenes": three()})
    assert figure is not None
    for axes in figure.axes:
        (bar,) = [one for box in axes.collections for one in box.get_segments()]
        assert list(bar[:, 0]) == [1.0, 1.0]
        assert list(bar[:, 1]) == pytest.approx([42 - 2.828427, 42 + 2.828427], abs=1e-5)
        marks = [line for line in axes.lines if line.get_marker() in "osD"]
        places = sorted((float(m.get_xdata()[0]), float(m.get_ydata()[0])) for m in marks)
        assert places == [(1.0, 35.0), (1.0, 42.0), (1.5, 30.0)]


def test_no_panel_mixes_data_sets() -> None:
    def on(name: str, annotations: str | None = None) -> Summary:
        made = run("tempme", 0)
        made["settings"]["data"] = {"name": name, "annotations": annotations}
        made["metrics"] = {"test": made["metrics"]["static"]}
        return summarize([made])

    found = {"a": on("msrvtt", "x"), "b": on("folder", "/films/beach"), "c": on("folder", "lake")}
    assert [data_of(one) for one in found.values()] == ["msrvtt", "folder beach", "folder lake"]
    panels: dict[str, dict[str, Summary]] = {data_of(v): {k: v} for k, v in found.items()}
    figure = accuracy_plot(panels)
    assert figure is not None
    assert [axes.get_title() for axes in figure.axes] == [
        "msrvtt: test",
        "folder beach: test",
        "folder lake: test",
    ]


@pytest.mark.parametrize("suffix", STARTS)
def test_the_suffix_is_the_format_and_the_bytes_are_the_same(tmp_path: Path, suffix: str) -> None:
    made = []
    for name in ("one", "two"):
        path = tmp_path / "new" / f"{name}{suffix.upper()}"
        check_plot(path)
        save_plot(three(), path)
        made.append(path.read_bytes())
    assert made[0] == made[1]
    assert made[0].startswith(STARTS[suffix])
    assert sorted(file.stem for file in (tmp_path / "new").iterdir()) == ["one", "two"]


def test_what_cannot_be_drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadSetting, match=r"a plot is \.png, \.svg, \.pdf by its suffix, not 'a'"):
        check_plot(tmp_path / "a")
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match=r"file/a\.png"):
        check_plot(tmp_path / "file" / "a.png")
    with pytest.raises(BadDataset, match="nothing to draw"):
        save_plot({"tempme": summarize([run("tempme", 0, metrics={})])}, tmp_path / "a.png")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(MissingExtra, match=r"pip install 'tempme\[plots\]'"):
        check_plot(tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()


@pytest.mark.slow
def test_the_verb_draws_beside_its_table(tmp_path: Path) -> None:
    for name in ("tempme", "lora"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "result.json").write_text(json.dumps(run(name, 0)))

    def compare(plot: str) -> subprocess.CompletedProcess[str]:
        command = [TEMPME, "compare", str(tmp_path), "--plot", str(tmp_path / plot)]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    done = compare("drawn/all.png")
    assert done.returncode == 0, done.stderr
    assert "| scenes/lora |" in done.stdout
    with Image.open(tmp_path / "drawn/all.png") as picture:
        assert min(picture.size) > 300
        assert len(picture.getcolors(1 << 20) or ()) > 10  # something was drawn
    wrong = compare("all.jpg")
    assert wrong.returncode == 1
    assert wrong.stdout == ""
    assert wrong.stderr.startswith("error: a plot is .png, .svg, .pdf by its suffix, not 'all.jpg'")
