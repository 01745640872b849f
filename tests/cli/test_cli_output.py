"""What is printed is what can be seen: names, notes and errors cannot deceive a terminal."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

import tempme
from index_material import ColourRetriever, write_video
from tempme.cli.output import print_json, print_line, print_table, say, visible
from tempme.index import Index
from terminals import Terminal

# A name that retitles a terminal, forges a line of the table, turns the direction, hides letters.
FORGED = (
    "\x1b]0;owned\x07\x1b[2J a\n0.999  0:00.0  0:01.0  real.mp4\r\t\u202egpj.\u2066x\u200b\ufeff"
    "\x85\x9b31m\u2028\u3164\u00ad\U000e0041\x7f"
)


def is_plain(text: str) -> bool:
    """Whether a terminal draws every character of it, and nothing else happens."""
    kinds = {unicodedata.category(char) for char in text if char != "\n"}
    return not kinds & {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"} and "\u3164" not in text


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capfd)


@given(st.text())
def test_nothing_unseen_is_left(text: str) -> None:
    assert is_plain(visible(text))
    assert "\n" not in visible(text)


@pytest.mark.parametrize(
    "text",
    ["plain.mp4", "\N{CLAPPER BOARD} café.mp4", "日本の夏.mp4", "фильм.mp4", "a\u202fb\u3000c.mp4"],
)
def test_what_is_seen_stays(text: str) -> None:
    assert visible(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\x1b[31mb", "a\\x1b[31mb"),
        ("a\nb\tc", "a\\x0ab\\x09c"),
        ("x\u202egpj.exe", "x\\u202egpj.exe"),
        ("\udcff.mp4", "\\udcff.mp4"),
        ("\x9b2J", "\\x9b2J"),
        ("a\U000e0041", "a\\U000e0041"),
    ],
)
def test_what_is_not_seen_is_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown


def test_a_line_may_be_set_in_by_tabs(capfd: pytest.CaptureFixture[str]) -> None:
    print_line("\t>>>  R@1: 1.0\t2")
    assert capfd.readouterr().out == "\t>>>  R@1: 1.0\\x092\n"


def test_every_way_of_printing(capfd: pytest.CaptureFixture[str]) -> None:
    print_line(FORGED)
    say(FORGED)
    print_table(("path",), [(FORGED,), ("b",)])
    out, err = capfd.readouterr()
    assert is_plain(out)
    assert is_plain(err)
    assert len(out.splitlines()) == 4
    assert len(err.splitlines()) == 1


@given(st.text(st.characters(codec="utf-8")) | st.just(FORGED))
def test_json_stays_exact(text: str) -> None:
    raw = io.BytesIO()
    stdout = io.TextIOWrapper(raw, "utf-8")
    with patch.object(sys, "stdout", stdout):
        print_json({"path": text})
    printed = raw.getvalue().decode("utf-8")
    assert json.loads(printed) == {"path": text}
    assert is_plain(printed)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    folder = tmp_path / "films"
    folder.mkdir()
    write_video(folder / "film.mp4", ["red"])
    (folder / "film.mp4").rename(folder / f"{FORGED}.mp4")
    (folder / f"bad {FORGED}.mp4").write_bytes(b"\0" * 5000)
    content = write_video(tmp_path / "whole.mkv", ["red", "green"], seconds=8).read_bytes()
    (folder / f"cut {FORGED}.mkv").write_bytes(content[: len(content) // 2])
    return folder


@pytest.mark.slow
def test_no_verb_prints_a_forged_name(
    run: Terminal, films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempme.index.model.load_model", lambda _: ColourRetriever())
    monkeypatch.setattr("tempme.index.model.load_model", lambda _: ColourRetriever())
    index = ("--index", tmp_path / "a.tempme")
    film = films / f"{FORGED}.mp4"
    for words, code in {
        ("index", films, *index, "--model", "colours"): 0,
        ("search", f"red {FORGED}", *index): 0,
        ("search", f"red {FORGED}", *index, "--json"): 0,
        ("similar", film, *index): 0,
        ("status", *index): 0,
        ("status", "--failed", *index): 0,
        ("status", "--notes", *index): 0,
        ("features", films, "--out", tmp_path / f"{FORGED}.npy", "--model", "colours"): 0,
        ("forget", film, *index): 0,
        ("forget", film, *index, "--json"): 1,
        ("index", films / f"no {FORGED}", *index): 1,
        ("search", "red", "--under", f"/{FORGED}", *index): 1,
        ("similar", films / f"no {FORGED}.mp4", *index): 1,
        ("status", "--index", tmp_path / FORGED): 1,
        ("features", films, "--out", f"{FORGED}.csv"): 1,
        ("show", "tempme", "--video", film, "--out", f"{FORGED}.bad"): 1,
    }.items():
        done = run(*words)
        assert done.code == code, (words, done.err)
        assert is_plain(done.out), words
        assert is_plain(done.err), words
        assert "real.mp4" not in [line.split()[-1] for line in done.out.splitlines() if line]


@pytest.mark.slow
def test_the_exact_name_is_in_the_json(run: Terminal, films: Path, tmp_path: Path) -> None:
    index = Index.create(tmp_path / "a.tempme", ColourRetriever())
    index.add(films)
    document = run("status", "--index", index.path, "--json").document
    assert document["failed"][0]["path"] == os.fspath(films / f"bad {FORGED}.mp4")
    assert tempme.Index.open(index.path).videos()[0].path.name.endswith(".mp4")
