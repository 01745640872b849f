from __future__ import annotations

import csv
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.systems.table import system


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("place")
    write(3, folder / "scenes", part="static", size=64, fps=4)
    Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0).save(folder / "model")
    return folder


def tempme_eval(place: Path, *args: str, model: str = "model") -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("tempme")), "eval", model, *args]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=place)


@pytest.mark.slow
def test_eval_prints_the_log_lines_and_writes_json(place: Path) -> None:
    done = tempme_eval(
        place, "folder", "--annotations", "scenes", "--workers", "1", "--out", "out/report.json"
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads((place / "out/report.json").read_text())
    assert (answer["num_videos"], answer["is_complete"]) == (3, True)
    assert answer["scores"]["plain"]["v2t"]["num_queries"] == 3
    r1 = answer["scores"]["plain"]["t2v"]["r1"]
    lines = done.stdout.splitlines()
    assert lines[0].startswith("scenes, tempme: ")
    assert "3 of 3 videos" in lines[0]
    assert lines[1] == "Text-to-Video:"
    assert lines[2].startswith(f"\t>>>  R@1: {r1:.1f} - R@5: ")


@pytest.mark.slow
def test_eval_says_what_to_do(place: Path) -> None:
    done = tempme_eval(place, "msrvt", "--annotations", ".")
    assert done.returncode == 1
    assert done.stderr.startswith("error: no data set 'msrvt'; did you mean 'msrvtt'?")
    done = tempme_eval(place, "folder", "--annotations", "scenes", "--ties", "none")
    assert done.returncode == 1
    assert "it is one of expected, optimistic, pessimistic" in done.stderr


@pytest.mark.slow
def test_what_cannot_be_written_is_known_before_anything_is_encoded(place: Path) -> None:
    (place / "file").write_text("no folder")
    done = tempme_eval(
        place, "folder", "--annotations", "scenes", "--workers", "1", "--out", "file/report.json"
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr == "error: file/report.json: File exists; mend this, or give another path\n"


@pytest.mark.slow
def test_a_folder_of_all_that_is_behind_the_numbers(place: Path) -> None:
    done = tempme_eval(place, "folder", "--annotations", "scenes", "--workers", "1", "--out", "all")
    assert done.returncode == 0, done.stderr
    report = json.loads((place / "all/report.json").read_text())
    ranks = list(csv.DictReader((place / "all/ranks.csv").read_text().splitlines()))
    scores = np.load(place / "all/similarity.npy")
    assert scores.shape == (report["num_texts"], 3) == (len(ranks), 3)
    videos = list(csv.DictReader((place / "all/video-ranks.csv").read_text().splitlines()))
    own = [[row["video"] for row in videos].index(row["video"]) for row in ranks]
    for row, target, mine in zip(ranks, own, scores, strict=True):
        assert float(row["rank"]) == 1 + (mine > mine[target]).sum()
    first = [float(row["rank"]) <= 1 for row in ranks]
    assert report["scores"]["plain"]["t2v"]["r1"] == pytest.approx(100 * np.mean(first))
    misses = list(csv.DictReader((place / "all/misses.csv").read_text().splitlines()))
    assert len(misses) == len(first) - sum(first)
    assert [float(row["rank"]) for row in misses] == sorted(
        (float(row["rank"]) for row in misses), reverse=True
    )
    assert all(row["video"] != row["first"] for row in misses)


@pytest.mark.slow
def test_eval_names_models_that_are_not_there(place: Path) -> None:
    for model in ("nosuch.pt", "nosuch"):
        done = tempme_eval(place, "folder", "--annotations", "scenes", model=model)
        assert done.returncode == 1
        assert done.stderr.startswith(f"error: no model '{model}': there is no such file or folder")
    done = tempme_eval(place, "folder", "--annotations", "scenes", model="gone/last.ckpt")
    assert done.returncode == 1
    assert done.stderr.startswith("error: gone/last.ckpt is of no run")


@pytest.mark.slow
def test_words_that_are_cut_are_counted(place: Path) -> None:
    done = tempme_eval(
        place, "folder", "--annotations", "scenes", "--workers", "1", "--max-words", "4"
    )
    assert done.returncode == 0, done.stderr
    assert "texts are longer than the model reads, and were cut" in done.stdout


@pytest.mark.slow
def test_every_option_of_a_model_is_heard(place: Path) -> None:
    shallow = Retriever.build(system("clip4clip", backbone="scenes-tiny"), None, seed=0)
    shallow.save(place / "plain")
    done = tempme_eval(
        *(place, "folder", "--annotations", "scenes", "--workers", "1", "--json"),
        *("--frames", "5", "--max-words", "9", "--fit", "pad", "--devices", "2", "--batch", "1"),
        *("--out", "heard.json"),
        model="plain",
    )
    assert done.returncode == 0, done.stderr
    answer = json.loads(done.stdout)
    assert json.loads((place / "heard.json").read_text()) == answer
    expected = replace(shallow.system, frames=5, max_words=9)
    assert answer["cost"]["gmacs"] == expected.cost().gmacs
    assert (answer["fit"], answer["system"]) == ("pad", "clip4clip")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--fit", "stretch"), "fit is 'stretch'; it is one of crop, squash, pad"),
        (("--devices", "0"), "greater than or equal to 1"),
        (("--frames", "0"), "greater than or equal to 1"),
        (("--max-words", "1"), "greater than or equal to 2"),
        (("--max-words", "99"), "max_words is 99; this model reads"),
        (("--frames", "6"), "was made for 12 frames"),
        (("--system", "tome"), "saved retriever, whose system and activation are its own"),
        (("--activation", "gelu"), "saved retriever, whose system and activation are its own"),
    ],
)
def test_options_that_cannot_be_are_refused_early(
    place: Path, words: tuple[str, ...], said: str
) -> None:
    done = tempme_eval(place, "folder", "--annotations", "scenes", *words)
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert said in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.slow
def test_a_query_bank_is_a_protocol_of_its_own(place: Path) -> None:
    names = sorted(path.stem for path in (place / "scenes").glob("*.mp4"))
    rows = [f"{names[0]},film {i},train" for i in range(3)]
    rows += [f"{name},this is {name},test" for name in names[1:]]
    (place / "split.csv").write_text("\n".join(["file,caption,split", *rows]))
    command = ("folder", "--annotations", "split.csv", "--videos", "scenes", "--workers", "1")
    done = tempme_eval(
        place, *command, "--split", "test", "--query-bank", "train", "--out", "banked.json"
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((place / "banked.json").read_text())
    bank = report["scores"]["query_bank"]
    assert (bank["num_queries"], bank["t2v"]["num_queries"]) == (3, 2)
    assert "With QB-Norm, a query bank of 3 training captions (another protocol):" in done.stdout
    wrong = tempme_eval(place, *command, "--split", "test", "--query-bank", "test")
    assert wrong.returncode == 1
    assert "has videos of split.csv/test: a query bank is of other videos" in wrong.stderr
