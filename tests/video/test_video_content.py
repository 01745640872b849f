"""A file looked at here and there gives what its bytes give."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tempme.video.containers import content as module
from tempme.video.containers.content import Content


def test_it_answers_as_bytes_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    chance = random.Random(0)
    whole = bytes(chance.choices(b"abc", k=5000))
    path.write_bytes(whole)
    for name, size in {"BLOCK_BYTES": 7, "SEARCHED_BYTES": 64}.items():
        monkeypatch.setattr(module, name, size)
    with path.open("rb") as file:
        content = Content(file)
        assert len(content) == len(whole)
        for _ in range(300):
            start, stop = chance.randrange(6000), chance.randrange(6000)
            assert content[start:stop] == whole[start:stop]
            place = chance.randrange(len(whole))
            assert content[place] == whole[place]
            wanted = bytes(chance.choices(b"abc", k=chance.randrange(1, 12)))
            assert content.rfind(wanted, stop) == whole.rfind(wanted, 0, stop)
            assert content.rfind(wanted) == whole.rfind(wanted)


def test_places_beyond_the_end_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"abc")
    with path.open("rb") as file:
        with pytest.raises(IndexError):
            Content(file)[3]
        assert Content(file)[2:9] == b"c"
