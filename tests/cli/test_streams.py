"""Closed and full standard streams, other locales, no folder for temporary files: one line each."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import tempme
from index_material import write_video
from tempme.backbones.config import ClipConfig

SMALL = ClipConfig(
    image_size=32, patch=16, width=32, heads=2, text_width=32, text_heads=2, embed=16
)
COMMAND = shlex.join([sys.executable, "-c", "import tempme.cli; tempme.cli.main()"])
NAME = "\N{LATIN SMALL LETTER E WITH ACUTE} \N{CLAPPER BOARD}.mp4"
ASCII = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
in_ascii = pytest.mark.skipif(
    not sys.prefix.isascii(), reason="Python itself does not start from such a path in this locale"
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    retriever = tempme.Retriever.build(tempme.system("tempme", backbone=SMALL), None, seed=0)
    return retriever.save(tmp_path_factory.mktemp("models") / "small", whole=True)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    write_video(folder / NAME, ["red", "white"], seconds=3)
    (folder / os.fsdecode(b"\xff.mp4")).write_bytes(b"no film")
    return folder


@pytest.fixture(scope="module")
def index(films: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("indexes") / "films.tempme"
    tempme.Index.create(folder, tempme.load(model)).add(films)
    return folder


def shell(line: str, *words: object, **env: str) -> subprocess.CompletedProcess[str]:
    """The command with `words`, and what `line` does to its streams."""
    command = f"{COMMAND} {shlex.join(map(str, words))} {line}"
    return subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        env={**os.environ, **env},
        encoding="utf-8",
        timeout=300,
        check=False,
    )


@pytest.mark.slow
def test_messages_never_go_among_the_answers(index: Path) -> None:
    done = shell("2>&-", "search", "red", "--index", index, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["hits"]
    done = shell("2>&-", "search", "red", "--index", index / "nowhere", "--json")
    assert (done.returncode, done.stdout) == (1, "")


@pytest.mark.slow
@pytest.mark.parametrize("words", [("systems",), ("systems", "--json"), ("--version",)])
@pytest.mark.parametrize(("line", "why"), [(">&-", "closed"), (">/dev/full", "no space left")])
def test_an_answer_that_does_not_get_out_is_one_line(
    words: tuple[str, ...], line: str, why: str
) -> None:
    done = shell(line, *words)
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert told.startswith("error: cannot write the answer to stdout: ")
    assert why in told


@pytest.mark.parametrize("line", [">/dev/full", ">&-"])
def test_help_that_does_not_get_out_ends_in_a_line_at_most(line: str) -> None:
    done = shell(line, "--help")
    assert len(done.stderr.splitlines()) <= 1
    assert "Traceback" not in done.stderr


def test_a_full_stderr_loses_no_answer(index: Path) -> None:
    done = shell("2>/dev/full", "search", "red", "--index", index, "--json")
    assert done.returncode == 0
    assert json.loads(done.stdout)["hits"]


def test_nothing_at_all_is_open(index: Path) -> None:
    done = shell("<&- >&- 2>&-", "search", "red", "--index", index)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


@pytest.mark.slow
@in_ascii
def test_any_locale_knows_the_same_files(films: Path, index: Path) -> None:
    before = tempme.Index.open(index).videos()
    done = shell("", "index", films, "--index", index, "--json", **ASCII)
    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)["videos"]
    assert {kind: n for kind, n in counts.items() if n} == {"unchanged": 1, "failed": 1}
    assert tempme.Index.open(index).videos() == before


@pytest.mark.slow
@in_ascii
def test_names_and_words_come_out_in_any_locale(films: Path, index: Path) -> None:
    words = ("search", "caf\N{LATIN SMALL LETTER E WITH ACUTE}", "--index", index, "--json")
    done = shell("", *words, **ASCII)
    document = json.loads(done.stdout)
    assert document["query"] == words[1]
    assert [hit["path"] for hit in document["hits"]] == [str(films / NAME)]
    failed = shell("", "status", "--index", index, "--json", **ASCII)
    (row,) = json.loads(failed.stdout)["failed"]
    assert os.fsencode(row["path"]).endswith(b"/\xff.mp4")


@pytest.mark.slow
def test_a_missing_folder_of_temporary_files_is_named(films: Path, model: Path) -> None:
    folder = model.parent / "a.tempme"
    words = ("index", films, "--index", folder, "--model", model)
    done = shell("", *words, TMPDIR="/nowhere")
    assert done.returncode == 1
    (told,) = done.stderr.splitlines()
    assert "TMPDIR=/nowhere, is not there" in told
    assert "make it or unset TMPDIR" in told
    assert "make room" not in told
