"""The command line from outside: what it prints where, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

import tempme
from index_material import write_video
from tempme.backbones.config import ClipConfig
from tempme.index.lock import writing
from tempme.retriever.retriever import Retriever
from terminals import Terminal

SMALL = ClipConfig(
    image_size=32, patch=16, width=32, heads=2, text_width=32, text_heads=2, embed=16
)


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd)


def shell(*words: object, **env: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "import tempme.cli; tempme.cli.main()", *map(str, words)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, **env}, **pipes)  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    retriever = Retriever.build(tempme.system("tempme", backbone=SMALL), None, seed=0)
    return retriever.save(tmp_path_factory.mktemp("models") / "small", whole=True)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for colour in ("red", "green", "blue"):
        write_video(folder / f"{colour} \N{CLAPPER BOARD}.mp4", [colour, "white"], seconds=3)
    (folder / os.fsdecode(b"\xff.mp4")).write_bytes(b"no film")
    return folder


@pytest.fixture(scope="module")
def index(films: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexes") / "films.tempme"
    opened = tempme.Index.create(folder, tempme.load(model))
    opened.add(films)
    return folder


@pytest.mark.slow
def test_indexing_ends_with_one_document(
    run: Terminal, films: Path, model: Path, tmp_path: Path
) -> None:
    words = ("index", films, "--index", tmp_path / "a.tempme", "--json")
    first = run(*words, "--model", model)
    assert first.code == 0
    report = first.document
    assert list(report)[-7:] == [
        "videos",
        "moments",
        "repeats",
        "seconds",
        "decode_seconds",
        "encode_seconds",
        "videos_per_second",
    ]
    assert report["videos"] == {
        "indexed": 3,
        "unchanged": 0,
        "renamed": 0,
        "removed": 0,
        "failed": 1,
    }
    assert os.fsencode(report["failures"][0]["path"]) == os.fsencode(films) + b"/\xff.mp4"
    model_is_remembered = run(*words)
    assert model_is_remembered.document["videos"]["unchanged"] == 3


@pytest.mark.slow
def test_indexing_tells_people(run: Terminal, films: Path, model: Path, tmp_path: Path) -> None:
    done = run("index", films, "--index", tmp_path / "a.tempme", "--model", model)
    assert done.code == 0
    assert "3 indexed, 1 failed; 3 moments" in done.out
    assert "failed: " in done.err


def test_a_search_answers_in_json(run: Terminal, index: Path, films: Path) -> None:
    done = run("search", "a red film", "--index", index, "-k", 2, "--json")
    assert done.code == 0
    assert done.document["query"] == "a red film"
    hits = done.document["hits"]
    assert len(hits) == 2
    keys = "path start_seconds end_seconds score confidence video_id moment_id paths"
    assert list(hits[0]) == keys.split()
    assert Path(hits[0]["path"]).parent == films
    expected = tempme.Index.open(index).search("a red film", k=2)
    assert hits == [hit.as_dict() for hit in expected]


def test_a_search_answers_in_lines(run: Terminal, index: Path) -> None:
    done = run("search", "a red film", "--index", index)
    lines = done.out.splitlines()
    assert lines[0].split() == ["score", "confidence", "from", "to", "path"]
    assert len(lines) == 4
    assert "3 hits: the index holds no more that fit" in done.err
    assert done.err.count("model: ") == 1
    assert run("search", "red", "--index", index, "--min-score", 0.9999).out == ""


@pytest.mark.slow
def test_a_search_says_what_the_model_does_not_read(
    run: Terminal, films: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "a.tempme"
    done = run("index", films, "--index", folder, "--model", "scenes-tiny")
    assert "model: scenes-tiny" in done.err
    known = run("search", "a red circle", "--index", folder, "--json")
    assert "warning" not in known.err
    part = run("search", "a red hippopotamus and a blue unicycle", "--index", folder, "--json")
    (line,) = [line for line in part.err.splitlines() if line.startswith("warning: ")]
    assert line.endswith("leaves out words it does not know: hippopotamus, unicycle")
    assert part.document["notes"] == [line.removeprefix("warning: ")]
    assert known.document["notes"] == []
    assert len(part.document["hits"]) == 3
    none = run("search", "hippopotamus", "--index", folder)
    assert "warning: the model knows none of these words" in none.err
    assert (
        "knows none of these words"
        in (run("search", "собака бежит", "--index", folder, "--json").document["notes"][0])
    )
    long = run("search", "a red circle " * 30, "--index", folder)
    assert "warning: the text is longer than the model reads" in long.err


def test_similar_finds_the_film_itself(run: Terminal, index: Path, films: Path) -> None:
    film = films / "blue \N{CLAPPER BOARD}.mp4"
    done = run("similar", film, "--index", index, "--json")
    assert done.err.count("model: ") == 1
    hits = done.document["hits"]
    assert Path(hits[0]["path"]) == film
    assert hits[0]["score"] == pytest.approx(1, abs=5e-3)


def test_similar_takes_a_picture(run: Terminal, index: Path, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (220, 30, 30)).save(tmp_path / "red.png")
    done = run("similar", tmp_path / "red.png", "--index", index, "-k", 1, "--json")
    assert len(done.document["hits"]) == 1


def test_status_tells_what_is_there_and_what_failed(run: Terminal, index: Path) -> None:
    assert "3 videos, 1 failed" in run("status", "--index", index).out
    failed = run("status", "--index", index, "--failed").out.splitlines()
    assert len(failed) == 2
    assert "not a video" in failed[1]
    document = run("status", "--index", index, "--json").document
    assert document["num_videos"] == 3
    assert document["fingerprint"].startswith("tempme-")


def test_an_index_can_be_named_by_the_environment(
    run: Terminal, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEMPME_INDEX", str(index))
    assert run("status").code == 0


def test_an_empty_index_says_how_to_fill_it(run: Terminal, model: Path, tmp_path: Path) -> None:
    (tmp_path / "films").mkdir()
    words = ("index", tmp_path / "films", "--index", tmp_path / "a.tempme", "--model", model)
    assert "no videos found" in run(*words).out
    done = run("search", "red", "--index", tmp_path / "a.tempme", "--json")
    assert (done.code, done.document["hits"]) == (0, [])
    assert "holds no videos yet; fill it with `tempme index PATH" in done.err


def test_errors_are_one_line(run: Terminal, index: Path, films: Path, tmp_path: Path) -> None:
    assert "the query is empty" in run("search", " ", "--index", index).refusal
    assert "is not an index" in run("search", "red", "--index", tmp_path / "a\nb").refusal
    assert "no such file" in run("index", tmp_path / "nowhere", "--index", index).refusal
    assert "other things in it" in (
        run("index", films, "--index", films, "--model", index / "model").refusal
    )
    assert "is not a video" in run("similar", index / "index.json", "--index", index).refusal
    assert "'tempmee'" in run("show", "tempmee").refusal
    assert "made with 1.0" in run("index", films, "--index", index, "--every-seconds", 2).refusal


def test_an_empty_word_is_not_the_current_folder(
    run: Terminal, index: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(films)
    count = len(tempme.Index.open(index).videos())
    for words in (
        ("forget", "", "--index", index),
        ("index", "", "--index", index),
        ("search", "red", "--index", ""),
        ("search", "red", "--index", index, "--under", ""),
        ("search", "red", "--index", index, "--under="),
    ):
        assert " is empty; if it comes from a variable" in run(*words).refusal
    assert len(tempme.Index.open(index).videos()) == count > 0


@pytest.mark.slow
def test_another_model_is_refused(run: Terminal, index: Path, films: Path, tmp_path: Path) -> None:
    other = Retriever.build(tempme.system("tempme", backbone=SMALL), None, seed=1)
    other.save(tmp_path / "other", whole=True)
    line = run("index", films, "--index", index, "--model", tmp_path / "other").refusal
    assert other.fingerprint in line
    assert tempme.Index.open(index).header.fingerprint in line


def test_wrong_usage_ends_with_2(run: Terminal) -> None:
    for words in (("serch",), ("search",), ("search", "red", "-k", "0"), ("index",)):
        assert run(*words).code == 2


@pytest.mark.slow
def test_without_network_the_default_model_says_what_else_there_is(
    films: Path, tmp_path: Path
) -> None:
    run = shell(
        "index", films, "--index", tmp_path / "a.tempme", HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path)
    )
    _, err = run.communicate(timeout=300)
    assert run.returncode == 1
    (line,) = err.splitlines()
    for choice in ("ViT-B/32", "scenes-tiny", "Retriever.save", "CLIP weights", "hub id"):
        assert choice in line
    assert not (tmp_path / "a.tempme").exists()


@pytest.mark.slow
def test_a_second_run_waits_for_nobody(films: Path, index: Path) -> None:
    with writing(index):
        run = shell("index", films, "--index", index)
        _, err = run.communicate(timeout=300)
    assert run.returncode == 1
    assert err.startswith(
        f"error: another run is writing to the index {index} (process {os.getpid()}"
    )


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done(tmp_path: Path, model: Path) -> None:
    (tmp_path / "films").mkdir()
    for i in range(40):
        colours = ["red" if i >> bit & 1 else "blue" for bit in range(6)]  # no two alike
        write_video(tmp_path / "films" / f"{i}.mp4", colours, seconds=4)
    folder = tmp_path / "a.tempme"
    words = ("index", tmp_path / "films", "--index", folder, "--model", model)
    run = shell(*words, "--workers", 1, "--every-seconds", 0.2)  # enough work to interrupt
    while not (folder / "videos.lance").exists():
        assert run.poll() is None
    run.send_signal(signal.SIGINT)
    _, err = run.communicate(timeout=300)
    assert run.returncode == 130
    assert err.splitlines() == [
        "stopped; what was finished is kept: run the same command again to go on"
    ]
    assert 1 <= len(tempme.Index.open(folder).videos()) < 40


@pytest.mark.slow
def test_a_reader_that_leaves_is_no_error() -> None:
    run = shell("systems", "--json")
    assert run.stdout is not None
    run.stdout.close()
    assert run.stderr is not None
    with run.stderr:
        assert run.stderr.read() == ""
    run.wait(timeout=300)


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.prefix.isascii(), reason="Python itself does not start from such a path in this locale"
)
def test_names_are_printed_in_any_locale(index: Path) -> None:
    run = shell("search", "red", "-i", index, LC_ALL="C", PYTHONIOENCODING="ascii", PYTHONUTF8="0")
    out, _ = run.communicate(timeout=300)
    assert run.returncode == 0
    assert out.count("\N{CLAPPER BOARD}.mp4") == 3
