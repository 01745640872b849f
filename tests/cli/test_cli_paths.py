"""Paths that cannot be used: one line on stderr and exit 1, as for every other bad input."""

from __future__ import annotations

import importlib
import os
import shutil
from collections.abc import Callable, Iterator
from inspect import signature
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from commands import WITHOUT_RIGHTS, error_of, start
from tempme.cli.verbs import OF_TWO_WORDS, VERBS


def commands() -> Iterator[Callable[..., Any]]:
    for verb in VERBS:
        name = OF_TWO_WORDS.get(verb, verb)
        for command in importlib.import_module(f"tempme.cli.{name}").app.registered_commands:
            yield command.callback


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: command.__name__)
def test_typer_leaves_paths_to_the_verbs(command: Callable[..., Any]) -> None:
    """It would end with the exit code of wrong usage where a path may not be read."""
    hints = get_type_hints(command, include_extras=True)
    for name in signature(command).parameters:
        kind, *settings = get_args(hints[name]) or (hints[name],)
        if Path in (kind, *get_args(kind)):
            assert [one.readable for one in settings] == [False], name


@pytest.fixture
def closed(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "closed"
    folder.mkdir()
    folder.chmod(0)
    yield folder
    folder.chmod(0o755)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("setpriv") is None, reason="setpriv is not here")
@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("search red --index CLOSED", "the index CLOSED cannot be read: "),
        ("status --index CLOSED", "the index CLOSED cannot be read: "),
        ("index . --index CLOSED", "CLOSED/index.json: Permission denied; "),
        ("similar CLOSED/red.mp4 --index CLOSED", "the index CLOSED cannot be read: "),
        ("show tempme --video CLOSED --out a.png", "CLOSED: a folder, not a file; "),
        ("train CLOSED --out runs", "CLOSED is not an experiment: "),
        ("data verify folder --annotations CLOSED", "CLOSED/captions.jsonl: Permission denied; "),
        ("data prepare CLOSED --out small", "CLOSED holds no videos"),
        ("data scenes --count 1 --out CLOSED", "cannot write CLOSED: Permission denied; "),
        ("push CLOSED owner/name", "CLOSED is not a saved retriever: "),
    ],
)
def test_a_closed_folder(
    closed: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: str, told: str
) -> None:
    monkeypatch.chdir(tmp_path)
    way = WITHOUT_RIGHTS if os.geteuid() == 0 else ()
    line = error_of(start(*words.replace("CLOSED", str(closed)).split(), way=way))
    assert line.startswith("error: " + told.replace("CLOSED", str(closed)))
