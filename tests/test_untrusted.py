"""Nothing that a stranger sends blocks, leads elsewhere, or is larger than it can be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tempme.atomic import remove_drafts, replacing
from tempme.untrusted import check_regular, open_regular, read_bytes, read_json, read_toml


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.json"
    path.write_text('{"a": 1}')
    return path


def test_an_ordinary_file_is_read(file: Path) -> None:
    assert read_json(file) == {"a": 1}
    assert read_bytes(file, most_bytes=8) == b'{"a": 1}'


def test_links_are_followed_only_where_that_is_asked_for(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(file)
    with pytest.raises(OSError, match="is a link"):
        read_json(link)
    assert read_json(link, follow=True) == {"a": 1}
    with pytest.raises(OSError, match="is a link"):
        open_regular(link, flags=os.O_RDWR | os.O_CREAT | os.O_TRUNC)
    assert read_json(file) == {"a": 1}


@pytest.mark.parametrize("flags", [os.O_RDONLY, os.O_RDWR, os.O_WRONLY])
def test_a_pipe_or_a_folder_neither_blocks_nor_opens(tmp_path: Path, flags: int) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(OSError, match="is not an ordinary file"):
        open_regular(tmp_path / "pipe", flags=flags)
    with pytest.raises(OSError, match=r"not an ordinary file|directory"):
        open_regular(tmp_path, flags=flags)
    with pytest.raises(OSError, match="is not an ordinary file"):
        check_regular(tmp_path / "pipe")


def test_devices_and_large_files_are_not_read(file: Path) -> None:
    with pytest.raises(OSError, match="is not an ordinary file"):
        read_bytes(Path("/dev/zero"))
    with pytest.raises(OSError, match="has 8 bytes, more than 7"):
        read_bytes(file, most_bytes=7)


def test_a_file_without_a_size_is_read_as_far_as_it_may_be() -> None:
    with pytest.raises(OSError, match="has more than 10 bytes"):
        read_bytes(Path("/proc/self/status"), most_bytes=10)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000])
def test_what_is_nested_without_end_is_named(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_json(file)
    file.write_text("a = " + "[" * 100_000)
    with pytest.raises(ValueError, match="nested too deeply"):
        read_toml(file)


def test_drafts_of_the_dead_go_and_those_of_the_living_stay(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    for name in (".weights.123.part.safetensors", ".weights.0a1b.part.safetensors"):
        (tmp_path / name).write_text("half")
    for name in (".other.123.part.safetensors", ".weights.part.safetensors", "weights.txt"):
        (tmp_path / name).write_text("kept")
    with replacing(path) as draft:
        draft.write_text("first")
        with replacing(path) as other:
            other.write_text("second")
            assert draft.exists()
        remove_drafts(tmp_path)
        assert draft.exists()
    assert path.read_text() == "first"
    left = sorted(file.name for file in tmp_path.iterdir())
    assert left == [".weights.part.safetensors", "weights.safetensors", "weights.txt"]


def test_a_draft_is_written_through_no_link(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    (tmp_path / ".a.123.part.txt").symlink_to(tmp_path / "mine.txt")
    with replacing(tmp_path / "a.txt") as draft:
        draft.write_text("new")
    assert (tmp_path / "mine.txt").read_text() == "mine"
