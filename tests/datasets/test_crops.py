"""Random crops and mirror images: boxes by hand, all frames alike, frames drawn part by part."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from drawn_videos import FPS, draw
from tempme.datasets.clips import ClipBatches
from tempme.datasets.crops import CropFlip
from tempme.datasets.frames import read_moment
from tempme.datasets.moment_reader import AUGMENTS, MomentJob, Reader, augment_of
from tempme.datasets.pairs import Moment, Pair, Split
from tempme.errors import BadSetting, UnknownName
from tempme.video import Frames, Reading


@pytest.mark.parametrize("aspect", [1.0, 16 / 9, 9 / 16, 6.0])
def test_boxes_lie_inside_and_have_the_area_and_shape_that_are_allowed(aspect: float) -> None:
    crop, seen = CropFlip(), []
    for seed in range(2000):
        left, top, right, bottom = crop.box(random.Random(seed), aspect)
        assert 0 <= left < right <= 1
        assert 0 <= top < bottom <= 1
        width, height = right - left, bottom - top
        seen.append((width * height, width * aspect / height))
    areas, shapes = np.array(seen).T
    assert ((shapes > 0.75 - 1e-9) & (shapes < 4 / 3 + 1e-9)).all()
    widest = (4 / 3) / max(aspect, 1 / aspect)  # the area of the largest box of such a shape
    assert areas.min() >= min(0.5, widest) - 1e-9
    assert areas.max() <= min(1, widest) + 1e-9
    assert len(set(areas)) > 1 or widest < 0.5  # no box of half the area: always the same


def test_a_whole_box_changes_nothing_but_the_size() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 40, 40, 3), np.uint8)
    whole = CropFlip(smallest=1, narrowest=1, flip=0)
    assert np.array_equal(whole(frames, random.Random(0), size=40, aspect=1.0), frames)
    mirrored = CropFlip(smallest=1, narrowest=1, flip=1)
    assert np.array_equal(
        mirrored(frames, random.Random(0), size=40, aspect=1.0), frames[:, :, ::-1]
    )


def test_all_frames_are_cut_alike_and_by_pillow() -> None:
    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    crop = CropFlip(flip=0)
    made = crop(np.stack([frame] * 3), random.Random(5), size=32, aspect=1.5)
    box = tuple(share * 64 for share in crop.box(random.Random(5), 1.5))
    by_hand = Image.fromarray(frame).resize((32, 32), Image.Resampling.BICUBIC, box=box)
    assert made.shape == (3, 32, 32, 3)
    assert (made == np.asarray(by_hand)).all()


def test_half_are_mirrored() -> None:
    frames = np.zeros((1, 8, 8, 3), np.uint8)
    frames[:, :, :4] = 255
    crop = CropFlip(smallest=1, narrowest=1)
    left = [crop(frames, random.Random(s), size=8, aspect=1.0)[0, 0, 0, 0] for s in range(400)]
    assert 0.4 < np.mean(np.array(left) == 255) < 0.6


@pytest.mark.parametrize(
    "wrong", [{"smallest": 0}, {"smallest": 0.9, "largest": 0.8}, {"narrowest": 2}, {"flip": -1}]
)
def test_settings_that_make_no_sense_are_named(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match=f"{next(iter(wrong))}"):
        CropFlip(**wrong)


def test_names_of_what_augments() -> None:
    assert augment_of(True) is augment_of("rand-augment") is AUGMENTS["rand-augment"]
    assert augment_of("crop-flip") == CropFlip()
    assert augment_of(False) is None
    with pytest.raises(UnknownName, match="rand-augment, crop-flip"):
        augment_of("crop")


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each frame has its own grey."""
    path = tmp_path_factory.mktemp("videos") / "a.mp4"
    return draw(path, picture=lambda i: np.full((48, 96, 3), 40 + 5 * i, np.uint8))


def test_a_frame_of_each_part_is_drawn(video: Path) -> None:
    reader = Reader(Reading(frames=4, size=32), draws_frames=True)
    seen = set()
    for look in range(12):
        clip = reader(MomentJob(video, Moment("a"), (str(look),)))
        assert isinstance(clip, np.ndarray)
        greys = clip[0].mean(axis=(1, 2, 3))
        numbers = np.rint((greys - 40) / 5).astype(int)
        assert (numbers // FPS == np.arange(4)).all()
        seen.add(tuple(numbers))
        again = reader(MomentJob(video, Moment("a"), (str(look),)))
        assert np.array_equal(clip, again)
    assert len(seen) > 6


def test_the_middle_of_each_part_is_the_even_spacing(video: Path) -> None:
    moment, reading = Moment("a", 0.3, 3.1), Reading(frames=4, size=32)
    plain = read_moment(video, moment, reading)
    drawn = read_moment(video, moment, reading, draws=(0.5,) * 4)
    assert isinstance(plain, Frames)
    assert isinstance(drawn, Frames)
    assert plain.seconds == drawn.seconds


def test_batches_are_cut_and_are_the_same_again(video: Path) -> None:
    split = Split("made/train", tuple(Pair("a", f"caption {i}") for i in range(4)))

    def batch() -> np.ndarray:
        with ClipBatches(
            split,
            video.parent,
            frames=4,
            size=32,
            batch=4,
            seed=1,
            workers=0,
            augment="crop-flip",
            draws_frames=True,
            fit="squash",
        ) as made:
            return made[0].frames

    assert batch().shape == (4, 4, 32, 32, 3)
    assert np.array_equal(batch(), batch())
