"""Tables are rendered from result files, and the committed ones are up to date."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from statistics import mean, stdev

import pytest

from documents.__main__ import main
from documents.benchmarks import benchmark_tables
from documents.rendering import render, stale, write
from results_material import put, run, scores
from tempme.errors import BadDataset
from tempme.experiments.settings import set_key
from tempme.results.accuracy import every_seed, full_table, short_table, summaries
from tempme.results.markdown import rewrite
from tempme.results.quoted import Quoted, read_paper
from tempme.results.runs import read_experiments, read_runs, summarize
from tempme.systems.table import SYSTEMS

ROOT = Path(__file__).parents[2]


def rows(text: str) -> dict[str, dict[str, str]]:
    """The first table of a text: first cell -> column -> cell."""
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    head = lines[0]
    return {line[0]: dict(zip(head, line, strict=True)) for line in lines[2:]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Documents with markers, four experiments, one of them in a sweep of its own."""
    put(tmp_path / "results", run("tempme", 0, r1=40.0), run("tempme", 1, r1=44.0))
    put(tmp_path / "results", run("lora", 0, r1=30.0), run("evit", 0, videos_per_second=None))
    put(tmp_path / "results", run("tempme", 0, experiment="scenes-keep/keep-10"))
    put(tmp_path / "results", run("tempme", 0, experiment="scenes-keep/keep-9"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("Before\n<!-- scenes -->\nold\n<!-- /scenes -->\nafter\n")
    shutil.copy(ROOT / "docs" / "results.md", tmp_path / "docs")
    shutil.copy(ROOT / "results" / "paper.toml", tmp_path / "results")
    return tmp_path


def test_committed_documents_say_what_results_hold() -> None:
    assert stale(ROOT) == (), "run `make tables`"


def test_committed_runs_have_the_settings_of_their_experiment() -> None:
    """A run from before its experiment file was changed does not stay in the tables."""
    for path in sorted((ROOT / "results").glob("*/*/seed-*.json")):
        result = json.loads(path.read_text("utf-8"))
        text = (ROOT / "experiments" / f"{result['experiment']}.toml").read_text("utf-8")
        wanted = tomllib.loads(text)
        if path.parent.name != result["experiment"].partition("/")[2]:  # a point of a family
            line = re.search(rf"# +(--set .+?) +-> {path.parent.name}:", text)
            assert line, path
            for change in shlex.split(line[1])[1::2]:
                set_key(wanted, change)
        for part, keys in wanted.items():
            for key, value in keys.items():
                assert result["settings"][part][key] == value, f"{path}: {part}.{key}"


def test_summaries_are_mean_and_sample_deviation() -> None:
    values = [40.0, 44.0, 45.0]
    summary = summarize([run("tempme", seed, r1=r1) for seed, r1 in enumerate(values)])
    assert summary["seeds"] == [0, 1, 2]
    found = summary["metrics"]["static"]["t2v"]["r1"]
    assert found == {"mean": 43.0, "spread": pytest.approx(stdev(values), abs=1e-6), "runs": 3}
    assert summary["metrics"]["temporal"]["twins"]["mean"] == 65.0
    assert summary["training_seconds"]["mean"] == mean([200.0, 201.0, 202.0])
    alone = summarize([run("tempme", 0)])
    assert alone["metrics"]["static"]["t2v"]["r1"] == {"mean": 40.0, "spread": None, "runs": 1}


def test_what_one_run_lacks_is_the_mean_of_those_that_have_it() -> None:
    summary = summarize([run("tempme", 0, videos_per_second=None), run("tempme", 1)])
    assert summary["videos_per_second"] == {"mean": 50.0, "spread": None, "runs": 1}
    absent = summarize([run("tempme", 0, peak_memory_mb=None)])
    assert absent["peak_memory_mb"] is None


def test_runs_that_do_not_belong_together_are_refused() -> None:
    short = run("tempme", 1)
    short["settings"]["recipe"]["steps"] = 2
    with pytest.raises(BadDataset, match=r"settings\.recipe\.steps = 300, seed 1 has 2"):
        summarize([run("tempme", 0), short])
    dear = run("tempme", 1)
    dear["cost"]["gflops_paper"] = 1.6
    with pytest.raises(BadDataset, match=r"cost\.gflops_paper"):
        summarize([run("tempme", 0), dear])
    counted = run("tempme", 1)  # by a version that counts otherwise what it runs
    counted["cost"]["gmacs"] = 1.56
    assert summarize([run("tempme", 0), counted])["cost"]["gmacs"] == 1.56
    with pytest.raises(BadDataset, match="seed twice"):
        summarize([run("tempme", 0), run("tempme", 0)])
    later = run("tempme", 1)  # says more, and lies elsewhere: the same experiment
    later["settings"]["recipe"]["ema"] = 0.0
    later["settings"]["data"]["videos"] = "elsewhere"
    assert len(summarize([run("tempme", 0), later])["seeds"]) == 2


def test_damaged_and_absent_results_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="holds no seed"):
        read_runs(tmp_path)
    (tmp_path / "seed-0.json").write_text("{")
    with pytest.raises(BadDataset, match=r"seed-0\.json is not a result"):
        read_runs(tmp_path)


def test_rows_stand_in_the_order_of_the_paper(repository: Path) -> None:
    found = summaries(read_experiments(repository / "results")["scenes"])
    assert list(found) == sorted(found, key=list(SYSTEMS).index) == ["lora", "evit", "tempme"]
    sweep = summaries(read_experiments(repository / "results")["scenes-keep"])
    assert list(sweep) == ["keep-9", "keep-10"]


def test_tables_say_what_files_say_and_dash_what_they_do_not(repository: Path) -> None:
    found = summaries(read_experiments(repository / "results")["scenes"])
    text = full_table(found, read_paper(repository / "results"))
    table = rows(text)
    assert table["tempme"]["static R@1"] == "42.0 ± 2.8"
    assert table["tempme"]["multiply-adds (G)"] == "1.58"
    assert table["tempme"]["as the paper counts"] == "1.59"
    assert table["tempme"]["seeds"] == "2"
    assert table["evit"]["videos/s"] == "–"
    assert table["evit"]["both R@1"] == "–"
    assert table["evit"]["*paper:* R@1"] == "–"
    assert table["lora"]["*paper:* R@1"] == "43.7"
    assert table["tempme"]["*paper:* R-Sum"] == "198.6"
    assert "a-machine-2-cores" in text
    assert "only the shape can be compared" in text
    short = rows(short_table(found))
    assert list(short) == ["lora", "tempme"]  # the README has room for few
    assert short["lora"]["temporal R@1"] == "30.0"


def test_sets_of_real_videos_have_both_directions() -> None:
    metrics = {"test": {"t2v": scores(46.1, queries=1000), "v2t": scores(45.6, queries=1000)}}
    one = run("tempme", 0, experiment="msrvtt/tempme", metrics=metrics)
    one["settings"]["system"]["backbone"] = "ViT-B/16"
    text = full_table(summaries({"tempme": [one]}), read_paper(ROOT / "results"))
    row = rows(text)["tempme"]
    assert (row["t2v R@1"], row["v2t R@1"], row["t2v MnR"]) == ("46.1", "45.6", "2.5")
    assert "static R@1" not in row
    assert row["*paper:* R-Sum"] == "206.7"  # the row of ViT-B/16
    assert "only the shape" not in text


def test_machines_are_told_apart() -> None:
    other = run("lora", 0)
    other["environment"] = {**other["environment"], "machine": "another"}
    text = full_table(summaries({"tempme": [run("tempme", 0)], "lora": [other]}), {})
    assert "another: lora; a-machine-2-cores: tempme" in text
    assert "*paper" not in text


def test_every_seed_has_a_row() -> None:
    runs = [run("tempme", seed, r1=40.0 + seed) for seed in (0, 1, 10)]
    lines = every_seed({"tempme": runs}, ["tempme"]).splitlines()[2:]
    assert [line.split(" | ")[1] for line in lines] == ["0", "1", "10"]
    assert "| tempme | 10 | 50.0 | 50.0 | 65.0 | 210 | a-machine-2-cores |" in lines[-1]


def test_documents_are_rewritten_once_and_then_up_to_date(repository: Path) -> None:
    assert write(repository) == (Path("README.md"), Path("docs/results.md"))
    assert stale(repository) == () == write(repository)
    readme = (repository / "README.md").read_text("utf-8")
    assert readme.startswith("Before\n<!-- scenes -->\n| system |")
    assert readme.endswith("<!-- /scenes -->\nafter\n")
    results = (repository / "docs" / "results.md").read_text("utf-8")
    for heading in ("## scenes\n", "## scenes-keep\n", "### msrvtt, ViT-B/16\n"):
        assert heading in results
    put(repository / "results", run("tempme", 2, r1=90.0))
    assert stale(repository) == (Path("README.md"), Path("docs/results.md"))


def test_markers_that_are_missing_are_named() -> None:
    with pytest.raises(BadDataset, match="<!-- scenes -->"):
        rewrite("no markers", {"scenes": "a table"})
    assert (
        rewrite("<!-- a -->\n<!-- /a -->", {"a": r"\1 | b"}) == "<!-- a -->\n\\1 | b\n<!-- /a -->"
    )


def test_the_command_says_what_is_out_of_date(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    assert main(["--check"]) == 1
    assert "README.md is out of date: run `make tables`" in capsys.readouterr().out
    assert main(["tables"]) == 0
    assert main(["--check"]) == 0
    assert main(["--wrong"]) == 2
    capsys.readouterr()
    (repository / "README.md").write_text("no markers")
    assert main(["tables"]) == 1
    assert capsys.readouterr().err.startswith("error: README.md needs the lines <!-- scenes -->")


def test_the_summary_command_writes_a_file_next_to_the_seeds(tmp_path: Path) -> None:
    put(tmp_path, run("tempme", 0), run("tempme", 1))
    target = tmp_path / "scenes" / "tempme.json"
    command = [sys.executable, "-m", "tempme.results.runs", str(target)]
    subprocess.run(command, check=True)
    assert json.loads(target.read_text("utf-8")) == summarize(read_runs(target.with_suffix("")))
    assert list(read_experiments(tmp_path)["scenes"]) == ["tempme"]  # it is no run itself
    failed = subprocess.run(
        [*command[:-1], str(tmp_path / "none.json")], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("error: ")


def test_the_paper_s_numbers_are_of_known_systems() -> None:
    for (_, _), table in read_paper(ROOT / "results").items():
        unknown = table.keys() - SYSTEMS.keys() - {"token-reduction"}
        assert not unknown
        for row in table.values():
            assert row.rsum is None or 50 < row.rsum < 300
    assert Quoted(r1=46.1, r5=71.8, r10=80.7).rsum == 198.6
    assert Quoted(r1=46.1, r5=71.8).rsum is None


def test_a_bad_paper_file_is_named(tmp_path: Path) -> None:
    assert read_paper(tmp_path) == {}
    (tmp_path / "paper.toml").write_text('[msrvtt."ViT-B/32"]\nlora = { r2 = 1.0 }\n')
    with pytest.raises(BadDataset, match=r"paper\.toml.*r2"):
        read_paper(tmp_path)


def test_benchmarks_of_any_form_become_tables(tmp_path: Path) -> None:
    document = {
        "notes": {"speed_up": "of what"},
        "machine": "here",
        "rows": [{"batch": 1, "system": "lora", "per_second": [1.0, 0.5]}, {"system": "a|b"}],
        "drawn": {"h264": {"cpu": {"median": 12345.6}, "good": True}},
    }
    (tmp_path / "speed-here.json").write_text(json.dumps(document))
    text = benchmark_tables(tmp_path)
    assert text.startswith("### speed-here\n\nmachine: here")
    assert "| system | batch | per second |" in text
    assert "| lora | 1 | 1 / 0.5 |" in text
    assert r"| a\|b | – | – |" in text
    assert "| h264 | 12,346 | yes |" in text
    assert not re.search(r"\{|\}", text)
    assert benchmark_tables(tmp_path / "none") == "None yet."


def test_rendering_needs_results(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="holds no results"):
        render(tmp_path)
