"""Videos in tar archives: read as the files they were, and refused where an archive is hostile."""

from __future__ import annotations

import io
import os
import random
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np
import pytest

from tar_files import member, with_negative_size, write_tar
from tempme.datasets import load_folder
from tempme.datasets.clips import ClipBatches
from tempme.datasets.frames import read_moment
from tempme.datasets.pairs import Moment, Pair, Split
from tempme.datasets.places import digest_of, locate, probe_place
from tempme.datasets.shards import MOST_MEMBER_BYTES, read_shard, unpacked
from tempme.datasets.verify import verify
from tempme.errors import BadDataset, BadVideo
from tempme.evaluation.evaluate import examine
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.systems.table import system
from tempme.video import Failure, Frames, Reading, VideoInfo

SMALL = Reading(frames=3, size=32)


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    pairs = write(4, folder, size=32, fps=4)
    paths = list(dict.fromkeys(Path(pair.video) for pair in pairs))
    return {f"clip{number}": path for number, path in enumerate(paths)}


@pytest.fixture
def shards(films: dict[str, Path], tmp_path: Path) -> Path:
    """Two archives of two videos each, with captions in both ways."""
    names = list(films)
    write_tar(
        tmp_path / "shards" / "000.tar",
        {
            "./clip0.mp4": films[names[0]],
            "./clip0.txt": b"first words\n\nother words\n",
            "deep/clip1.mp4": films[names[1]],
            "deep/clip1.json": b'{"Sentence": "of json", "start": 0, "end": 1, "split": "train"}',
        },
    )
    write_tar(
        tmp_path / "shards" / "more" / "001.tar",
        {
            "clip2.mp4": films[names[2]],
            "clip2.json": b'{"caption": ["one", "two"], "split": "test"}',
            "clip3.mp4": films[names[3]],
        },
    )
    return tmp_path / "shards"


def same_frames(one: Frames | Failure, other: Frames | Failure) -> bool:
    assert isinstance(one, Frames), one
    assert isinstance(other, Frames), other
    return bool((one.pixels == other.pixels).all()) and one.seconds == other.seconds


def test_a_member_is_the_file_it_was(
    films: dict[str, Path], shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    found = locate(list(films), shards)
    assert found.paths == {
        "clip0": shards / "000.tar/clip0.mp4",
        "clip1": shards / "000.tar/deep/clip1.mp4",
        "clip2": shards / "more/001.tar/clip2.mp4",
        "clip3": shards / "more/001.tar/clip3.mp4",
    }
    assert (found.missing, found.notes) == ((), ())
    for name, place in found.paths.items():
        moment = Moment(name, 0.0, 1.0) if name == "clip1" else Moment(name)
        read = read_moment(place, moment, SMALL)
        assert same_frames(read, read_moment(films[str(name)], moment, SMALL))
        assert isinstance(read, Frames)
        assert read.info.path == place
        assert digest_of(place) == digest_of(films[str(name)])
    probed = probe_place(found.paths["clip0"])
    assert isinstance(probed, VideoInfo)
    assert probed.num_frames > 1
    assert locate(["clip0", "gone"], shards / "000.tar").paths == {
        "clip0": shards / "000.tar/clip0.mp4"
    }
    assert list(tmp_path.glob("tempme-*")) == []  # no copy is left


def test_captions_beside_the_videos(shards: Path, caplog: pytest.LogCaptureFixture) -> None:
    pairs = load_folder(shards)
    assert [(pair.caption, pair.start_seconds, pair.end_seconds) for pair in pairs] == [
        ("first words", None, None),
        ("other words", None, None),
        ("of json", 0.0, 1.0),
        ("one", None, None),
        ("two", None, None),
    ]
    assert "1 of 4 videos have no caption beside them, and are left out" in caplog.text
    assert [pair.video for pair in pairs][:3:2] == [
        shards / "000.tar/clip0.mp4",
        shards / "000.tar/deep/clip1.mp4",
    ]
    assert [pair.caption for pair in load_folder(shards, split="test")] == ["one", "two"]
    assert len(load_folder(shards / "000.tar")) == 3
    (shards / "captions.csv").write_text("file,caption\nclip3,from the table\n")
    (one,) = load_folder(shards)  # a table beside the archives is what a person wrote
    assert (one.video, one.caption) == (shards / "more/001.tar/clip3.mp4", "from the table")


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({}, "has 1 videos in tar archives and no caption: put NAME.txt or NAME.json"),
        ({"a.json": b"{"}, r"a\.json is not JSON"),
        ({"a.json": b"[1]"}, r"a\.json is not a JSON object"),
        ({"a.json": b'{"caption": 3}'}, "has caption 3; give it as text"),
        ({"a.txt": b"\xff\xfe\x00"}, "is not UTF-8 text"),
        ({"a.txt": bytes(2**20 + 1)}, "cannot be read: .*too large"),
    ],
)
def test_captions_that_are_none(tmp_path: Path, files: dict[str, bytes], said: str) -> None:
    write_tar(tmp_path / "a.tar", {"a.mp4": b"some", **files})
    with pytest.raises(BadDataset, match=said):
        load_folder(tmp_path)


def hostile(path: Path, video: bytes) -> Path:
    with tarfile.open(path, "w") as archive:
        for name in ("../out.mp4", "/abs.mp4", "c:/windows.mp4", "up/../../two.mp4", "good.mp4"):
            archive.addfile(member(name, len(video)), io.BytesIO(video))
        for name, kind in (
            ("sym.mp4", tarfile.SYMTYPE),
            ("hard.mp4", tarfile.LNKTYPE),
            ("pipe.mp4", tarfile.FIFOTYPE),
            ("device.mp4", tarfile.CHRTYPE),
        ):
            archive.addfile(member(name, 0, type=kind, linkname="/etc/passwd"))
        archive.addfile(member("empty.mp4", 0))
    with path.open("r+b") as file:  # the end of it claims to be huge
        file.seek(0, os.SEEK_END)
        end = file.tell()
        with tarfile.open(path) as archive:
            place = archive.getmembers()[-1].offset_data
        file.seek(place)
        file.write(member("huge.mp4", MOST_MEMBER_BYTES + 1).tobuf(tarfile.GNU_FORMAT))
        file.truncate(max(end, place + 2048))
    return path


@pytest.mark.slow
def test_what_an_archive_could_do_harm_with_is_refused(
    films: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    path = hostile(tmp_path / "in" / "bad.tar", films["clip0"].read_bytes())
    names = ["out", "abs", "windows", "two", "sym", "hard", "pipe", "device", "empty", "huge"]
    found = locate(["good", *names], path.parent)
    assert found.paths == {"good": path / "good.mp4"}
    assert list(found.refused) == names
    for name in names[:4]:
        assert "its name leads out of its archive" in found.refused[name]
    assert all("a link in an archive" in found.refused[name] for name in names[4:6])
    assert all("not an ordinary file" in found.refused[name] for name in names[6:8])
    assert "empty file" in found.refused["empty"]
    assert "claims 8,589,934,593 bytes" in found.refused["huge"]
    report = verify("bad", ["good", *names, "gone"], path.parent, workers=1)
    assert list(report.undecodable) == names
    assert report.missing == ("gone",)
    assert not report.is_complete
    split = Split("bad", tuple(Pair(name, name) for name in ("good", "sym")))
    with ClipBatches(split, path.parent, frames=2, size=32, batch=1, seed=0, workers=0) as clips:
        assert list(clips.failed) == ["sym"]
        assert clips[0].frames.shape == (1, 2, 32, 32, 3)
    with pytest.raises(BadVideo, match="a link in an archive"), unpacked(path / "sym.mp4"):
        pass
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


@pytest.mark.slow
def test_an_archive_that_is_cut_off(films: dict[str, Path], tmp_path: Path) -> None:
    whole = write_tar(
        tmp_path / "whole.tar", {"a.mp4": films["clip0"], "b.mp4": films["clip1"]}
    ).read_bytes()
    place = read_shard(tmp_path / "whole.tar").members["b.mp4"].offset
    (tmp_path / "whole.tar").unlink()
    (tmp_path / "cut.tar").write_bytes(whole[: place + 100])
    found = locate(["a", "b"], tmp_path)
    assert list(found.paths) == ["a"]
    assert "cut off: its archive ends before it does" in found.refused["b"]
    assert "cut.tar: " in found.notes[0]
    assert isinstance(read_moment(found.paths["a"], Moment("a"), SMALL), Frames)
    (tmp_path / "cut.tar").write_bytes(whole[: place - 200])  # in the header of b
    found = locate(["a", "b"], tmp_path)
    assert (list(found.paths), found.missing) == (["a"], ("b",))
    assert "cut off" in found.notes[0] or "cannot be read after 1 files" in found.notes[0]
    lines = verify("cut", ["a", "b"], tmp_path, workers=1).lines()
    assert "  1 damaged archives" in lines


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no archive" * 100, id="text"),
        pytest.param(b"\x1f\x8b\x08\x00" + bytes(600), id="head of gzip"),
        pytest.param(random.Random(0).randbytes(4096), id="noise"),
    ],
)
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.tar").write_bytes(content)
    found = locate(["a"], tmp_path)
    assert found.missing == ("a",)
    assert found.notes[0].startswith("a.tar: not a tar archive that can be read")


def test_headers_that_lead_back_or_are_huge(films: dict[str, Path], tmp_path: Path) -> None:
    back = read_shard(with_negative_size(tmp_path / "back.tar", films["clip0"].read_bytes()))
    assert list(back.members) == ["a.mp4"]
    assert back.note
    long = tmp_path / "long.tar"
    with tarfile.open(long, "w", format=tarfile.GNU_FORMAT) as archive:
        archive.addfile(member("a.mp4", 3), io.BytesIO(b"abc"))
        archive.addfile(member("x" * (2 << 20), 3), io.BytesIO(b"abc"))
    found = read_shard(long)
    assert list(found.members) == ["a.mp4"]
    assert "a header that claims 2,097,664 bytes" in found.note


def test_a_changed_archive_is_read_again(films: dict[str, Path], tmp_path: Path) -> None:
    path = write_tar(tmp_path / "a.tar", {"a.mp4": films["clip0"]})
    assert list(read_shard(path).members) == ["a.mp4"]
    write_tar(path, {"b.mp4": films["clip0"], "c.mp4": films["clip1"]})
    assert list(read_shard(path).members) == ["b.mp4", "c.mp4"]


def test_steps_of_archives_are_those_of_files(films: dict[str, Path], shards: Path) -> None:
    split = Split("made", tuple(Pair(name, f"about {name}") for name in films))
    folder = next(iter(films.values())).parent
    by_file = Split("made", tuple(Pair(path.name, f"about {name}") for name, path in films.items()))
    steps = []
    for one, place in ((split, shards), (by_file, folder)):
        with ClipBatches(one, place, frames=2, size=32, batch=2, seed=3, workers=0) as clips:
            steps.append([clips[step] for step in range(3)])
    for ours, theirs in zip(*steps, strict=True):
        assert np.array_equal(ours.frames, theirs.frames)
        assert ours.captions == theirs.captions


@pytest.mark.slow
def test_archives_are_tested_with_and_verified(films: dict[str, Path], shards: Path) -> None:
    retriever = Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0)
    split = Split("shards", load_folder(shards))
    report, features = examine(retriever, split, workers=1)
    assert (report.num_videos, report.num_texts, report.is_complete) == (3, 5, True)
    pairs = (
        Pair(films["clip0"], "a"),
        Pair(films["clip1"], "b", 0.0, 1.0),
        Pair(films["clip2"], "c"),
    )
    expected = examine(retriever, Split("files", pairs), workers=1)[1].videos
    assert np.abs(features.videos - expected).max() < 2e-5
    command = [str(Path(sys.executable).with_name("tempme")), "data", "verify", "folder"]
    for place, listed in ((shards, 3), (shards / "000.tar", 2)):
        done = subprocess.run(
            [*command, "--annotations", str(place), "--workers", "1"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert f"N = {listed} of {listed} videos can be used" in done.stdout
