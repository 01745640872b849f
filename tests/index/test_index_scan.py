from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from index_material import write_video
from tempme.errors import BadSetting
from tempme.index.building.digests import digest_of
from tempme.index.building.kinds import keep
from tempme.index.building.scan import find_files, has_vanished


def names(root: Path, *roots: Path) -> list[str]:
    return [str(file.path.relative_to(root)) for file in find_files(roots or [root]).files]


def touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_are_found_below_and_by_name(tmp_path: Path) -> None:
    for name in ("b.mp4", "a/c d.mp4", "a/b/c/\N{CLAPPER BOARD}.mkv", "a/b/noext"):
        touch(tmp_path / name)
    assert names(tmp_path) == ["a/b/c/\N{CLAPPER BOARD}.mkv", "a/b/noext", "a/c d.mp4", "b.mp4"]
    assert names(tmp_path, tmp_path / "a", tmp_path / "a" / "b", tmp_path / "b.mp4") == names(
        tmp_path
    )


def test_size_and_time_are_those_of_the_file(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.mp4", b"12345")
    os.utime(path, ns=(1, 1234567890123456789))
    (file,) = find_files([tmp_path]).files
    assert (file.size_bytes, file.mtime_ns) == (5, path.stat().st_mtime_ns)


def test_links_are_followed_once(tmp_path: Path) -> None:
    touch(tmp_path / "films" / "a.mp4")
    touch(tmp_path / "elsewhere" / "b.mp4")
    (tmp_path / "films" / "again.mp4").symlink_to(tmp_path / "films" / "a.mp4")
    (tmp_path / "films" / "loop").symlink_to(tmp_path / "films")
    (tmp_path / "films" / "self").symlink_to(tmp_path / "films" / "self")
    (tmp_path / "films" / "broken.mp4").symlink_to(tmp_path / "nowhere.mp4")
    (tmp_path / "films" / "away").symlink_to(tmp_path / "elsewhere")
    found = find_files([tmp_path / "films"])
    assert [file.path for file in found.files] == [
        tmp_path / "elsewhere" / "b.mp4",
        tmp_path / "films" / "a.mp4",
    ]
    assert found.unreadable == ()


def test_hidden_folders_and_indexes_are_left_out_unless_named(tmp_path: Path) -> None:
    touch(tmp_path / ".trash" / "a.mp4")
    touch(tmp_path / "videos.tempme" / "moments.lance" / "b.mp4")
    touch(tmp_path / "._c.mp4")
    touch(tmp_path / "c.mp4")
    assert names(tmp_path) == ["c.mp4"]
    assert names(tmp_path, tmp_path / ".trash") == [".trash/a.mp4"]


def test_pipes_are_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    assert names(tmp_path) == []


def test_a_name_that_is_not_utf8_is_found(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/\xff\xfe.mp4"
    Path(os.fsdecode(name)).write_bytes(b"x")
    assert [os.fsencode(file.path) for file in find_files([tmp_path]).files] == [name]


def test_a_tree_deeper_than_the_stack(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(400):
        deep = deep / "d"
    deep.mkdir(parents=True)
    touch(deep / "a.mp4")
    assert len(find_files([tmp_path]).files) == 1


def test_a_path_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadSetting, match=r"no such file or folder: .*nowhere"):
        find_files([tmp_path / "nowhere"])


@pytest.mark.skipif(os.name == "nt", reason="permissions of POSIX")
def test_an_unreadable_folder_is_reported(tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("open")
    touch(root / "a.mp4")
    touch(root / "secret" / "b.mp4")
    for folder in (*list(root.parents)[:3], root):  # one more where tests run side by side
        folder.chmod(0o755)
    (root / "secret").chmod(0)
    was = os.geteuid()
    try:
        if was == 0:  # nothing is closed to root
            os.seteuid(65534)
        found = find_files([root])
        gone = has_vanished(root / "secret" / "b.mp4")
    finally:
        os.seteuid(was)
        (root / "secret").chmod(0o755)
    assert [file.path.name for file in found.files] == ["a.mp4"]
    assert [(item.path.name, item.reason) for item in found.unreadable] == [
        ("secret", "permission denied")
    ]
    assert not gone  # what cannot be seen is not known to be gone


def test_what_is_gone_is_gone(tmp_path: Path) -> None:
    path = touch(tmp_path / "a.mp4")
    assert not has_vanished(path)
    path.unlink()
    assert has_vanished(path)
    assert has_vanished(path / "below")


def test_a_digest_is_the_name_of_the_whole_content(tmp_path: Path) -> None:
    content = os.urandom(3 * 2**20 + 17)
    path = touch(tmp_path / "a.mp4", content)
    assert digest_of(path) == hashlib.sha256(content).hexdigest()[:32]
    changed = bytearray(content)
    changed[2**21 + 5] ^= 1
    assert digest_of(touch(tmp_path / "b.mp4", bytes(changed))) != digest_of(path)


def test_videos_are_told_by_content_and_damaged_ones_by_name(tmp_path: Path) -> None:
    write_video(tmp_path / "film without suffix", ["red"])
    write_video(tmp_path / "film.txt", ["red"])
    touch(tmp_path / "damaged.MP4", b"\0" * 100)
    touch(tmp_path / "empty.mkv", b"")
    touch(tmp_path / "notes.txt", b"red")
    touch(tmp_path / "script.ts", b"export const a: number = 1\n")
    kept = keep(find_files([tmp_path]).files, takes_picture=lambda _: False)
    assert [file.path.name for file in kept.videos] == [
        "damaged.MP4",
        "empty.mkv",
        "film without suffix",
        "film.txt",
    ]
    assert kept.skipped == {"text": 1}
