"""Frames that somebody has extracted: a folder of pictures is a video."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawn_videos import SIDE, barcode, number_of
from tempme.datasets import load_folder
from tempme.datasets.clips import ClipBatches
from tempme.datasets.frames import read_moment
from tempme.datasets.pairs import Moment, Pair, Split
from tempme.datasets.places import locate, probe_place
from tempme.datasets.verify import verify
from tempme.errors import BadSetting
from tempme.evaluation.evaluate import examine
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.video import Failure, Frames, Reading, VideoInfo, uniform_indices


def extract(folder: Path, count: int, *, name: str = "{}.png") -> Path:
    """Pictures that show their own number."""
    folder.mkdir(parents=True)
    for number in range(count):
        Image.fromarray(barcode(number)).save(folder / name.format(number), quality=95)
    return folder


def shown(folder: Path, moment: Moment, **how: object) -> list[int]:
    read = read_moment(folder, moment, Reading(size=SIDE, **how))  # type: ignore[arg-type]
    assert isinstance(read, Frames), read
    return [number_of(picture) for picture in read.pixels]


@pytest.mark.parametrize("name", ["{}.png", "frame{}.jpg", "{:05d}.JPEG", "im-{}-x.png"])
def test_pictures_are_frames_in_the_order_of_their_numbers(tmp_path: Path, name: str) -> None:
    folder = extract(tmp_path / "video", 25, name=name)
    (folder / "notes.txt").touch()
    (folder / ".hidden.png").touch()
    assert shown(folder, Moment("v"), frames=25) == list(range(25))
    assert shown(folder, Moment("v"), frames=4) == list(uniform_indices(25, 1.0, frames=4))
    assert shown(folder, Moment("v"), frames=4, frame_rate=5) == list(
        uniform_indices(25, 5.0, frames=4)
    )


def test_moments_of_a_folder(tmp_path: Path) -> None:
    folder = extract(tmp_path / "video", 30)
    assert shown(folder, Moment("v", 2.0, 5.0), frames=4) == [2, 3, 4, 5]
    assert shown(folder, Moment("v", 2.0, 4.0), frames=3, frame_rate=10) == list(
        uniform_indices(30, 10.0, frames=3, start=2.0, end=4.0)
    )
    assert shown(folder, Moment("v", 0.5, 2.5), frames=2, frame_rate=10) == [10, 20]
    assert shown(folder, Moment("v", 28.0), frames=2) == [28, 29]
    late = read_moment(folder, Moment("v", 31.0, 32.0), Reading(frames=2, size=SIDE))
    assert isinstance(late, Failure)
    assert late.reason == "holds 30 pictures, 30 s at 1 a second: nothing from 31 s on"


def test_they_are_found_by_name_after_files(tmp_path: Path) -> None:
    extract(tmp_path / "frames" / "video1", 3)
    extract(tmp_path / "frames" / "v_1.5", 3)
    (tmp_path / "frames" / "empty").mkdir()
    (tmp_path / "both.mp4").write_bytes(b"a file")
    extract(tmp_path / "both", 2)
    found = locate(["video1", "video1.mp4", "v_1.5", "both", "empty"], tmp_path)
    assert found.paths == {
        "video1": tmp_path / "frames/video1",
        "video1.mp4": tmp_path / "frames/video1",
        "v_1.5": tmp_path / "frames/v_1.5",
        "both": tmp_path / "both.mp4",
    }
    assert (found.missing, found.duplicated) == (("empty",), {})


def test_what_is_wrong_with_pictures_is_said(tmp_path: Path) -> None:
    folder = extract(tmp_path / "video", 4)
    (folder / "2.png").write_bytes(b"no picture")
    read = read_moment(folder, Moment("v"), Reading(frames=4, size=SIDE))
    assert isinstance(read, Failure)
    assert (read.path, read.reason[:7]) == (folder, "2.png: ")
    few = read_moment(folder, Moment("v"), Reading(frames=4, size=SIDE, max_frames=3))
    assert isinstance(few, Failure)
    assert few.reason == "holds 4 pictures, more than 3"
    (tmp_path / "none").mkdir()
    none = read_moment(tmp_path / "none", Moment("v"), Reading(frames=4, size=SIDE))
    assert isinstance(none, Failure)
    assert none.reason == "a folder without pictures"
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(BadSetting, match="frame_rate is"):
            Reading(frame_rate=rate)


@pytest.mark.slow
def test_verify_looks_into_folders(tmp_path: Path) -> None:
    for name in ("a", "b"):
        extract(tmp_path / name, 3)
    extract(tmp_path / "bad", 2)
    (tmp_path / "bad" / "0.png").write_bytes(b"no picture")
    report = verify("frames", ["a", "b", "bad", "gone"], tmp_path, workers=1)
    assert report.paths == {"a": tmp_path / "a", "b": tmp_path / "b"}
    assert list(report.undecodable) == ["bad"]
    assert report.missing == ("gone",)
    assert report.same_content == (("a", "b"),)
    info = probe_place(tmp_path / "a")
    assert isinstance(info, VideoInfo)
    assert (info.num_frames, info.width, info.codec) == (3, SIDE, "png")


@pytest.mark.slow
def test_they_are_learnt_from_and_tested_with(tmp_path: Path) -> None:
    for number, name in enumerate("abc"):
        folder = extract(tmp_path / name, 6)
        picture = np.full((SIDE, SIDE, 3), 80 * number, dtype=np.uint8)
        Image.fromarray(picture).save(folder / "3.png")
    (tmp_path / "captions.csv").write_text("file,caption\na,one\nb,two\nc,three\n")
    pairs = load_folder(tmp_path)
    assert [pair.video for pair in pairs] == [tmp_path / name for name in "abc"]
    split = Split("frames", pairs)
    with ClipBatches(split, frames=6, size=SIDE, batch=3, seed=0, workers=0) as clips:
        assert {number_of(picture) for picture in clips[0].frames[:, 5]} == {5}
    retriever = Retriever.build(system("tempme", backbone="scenes-tiny"), None, seed=0)
    report, features = examine(retriever, split, workers=1, frame_rate=2.0)
    assert (report.num_videos, report.is_complete) == (3, True)
    reading = Reading(frames=12, size=retriever.image_size, frame_rate=2.0)
    read = [read_moment(tmp_path / name, Moment(name), reading) for name in "abc"]
    pixels = np.stack([one.pixels for one in read if isinstance(one, Frames)])
    expected = retriever.for_inference("fp32").encode_videos(pixels).numpy()
    assert np.abs(features.videos - expected).max() < 2e-5
    by_name = Split("named", (Pair("a", "x"), Pair("gone", "y")))
    named, _ = examine(retriever, by_name, videos=tmp_path, workers=1)
    assert named.missing == ("gone",)
