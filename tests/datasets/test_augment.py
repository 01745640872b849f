from __future__ import annotations

import random
from collections import Counter

import numpy as np
import pytest

from tempme.datasets.augment import OPERATIONS, Change, RandAugment, apply
from tempme.errors import BadSetting
from tempme.video.values import Pixels

# Amounts at strengths 0, 7 and 10, as timm's increasing variant computes them.
AMOUNTS: dict[str, tuple[float, float, float]] = {
    "Rotate": (0, 21, 30),
    "Posterize": (4, 2, 0),
    "Solarize": (256, 77, 0),
    "SolarizeAdd": (0, 77, 110),
    **dict.fromkeys(("Color", "Contrast", "Brightness", "Sharpness"), (0, 0.63, 0.9)),
    **dict.fromkeys(("ShearX", "ShearY"), (0, 0.21, 0.3)),
    **dict.fromkeys(("TranslateX", "TranslateY"), (0, 0.315, 0.45)),
}
SIGNED = set(AMOUNTS) - {"Posterize", "Solarize", "SolarizeAdd"}


def noise(*shape: int, seed: int = 0) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def changed(name: str, amount: float, frames: Pixels) -> Pixels:
    return apply((Change(name, amount),), frames)


@pytest.mark.parametrize("name", AMOUNTS)
def test_amounts_grow_with_the_strength(name: str) -> None:
    operation = OPERATIONS[name]
    found = tuple(operation.amount(strength) for strength in (0, 7, 10))
    assert found == pytest.approx(AMOUNTS[name])
    assert operation.signed == (name in SIGNED)


def test_the_operations_are_the_fifteen() -> None:
    assert set(OPERATIONS) - set(AMOUNTS) == {"AutoContrast", "Equalize", "Invert"}
    assert len(OPERATIONS) == 15


def test_draws_follow_the_settings() -> None:
    augment = RandAugment()
    draws = [augment.changes(random.Random(seed)) for seed in range(4000)]
    counts = Counter(len(changes) for changes in draws)
    # Each of four is carried out half of the time: 1, 4, 6, 4, 1 of 16.
    for number, share in enumerate((1, 4, 6, 4, 1)):
        assert counts[number] / len(draws) == pytest.approx(share / 16, abs=0.03)
    names = Counter(change.operation for changes in draws for change in changes)
    assert set(names) == set(OPERATIONS)
    assert max(names.values()) < 1.25 * min(names.values())
    degrees = np.array([c.amount for changes in draws for c in changes if c.operation == "Rotate"])
    assert np.abs(degrees).mean() == pytest.approx(21, abs=0.3)
    assert np.abs(degrees).std() == pytest.approx(1.5, abs=0.2)
    assert (degrees > 0).mean() == pytest.approx(0.5, abs=0.1)


def test_strengths_stay_between_0_and_10() -> None:
    wild = RandAugment(magnitude=9, deviation=20, number=30, probability=1)
    for change in wild.changes(random.Random(0)):
        if change.operation in AMOUNTS:
            ends = AMOUNTS[change.operation]
            assert min(ends) - 1e-9 <= abs(change.amount) <= max(ends) + 1e-9


@pytest.mark.parametrize("name", OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (33, 33), (16, 224)])
def test_every_operation_takes_any_picture(name: str, shape: tuple[int, int]) -> None:
    amount = OPERATIONS[name].amount(10.0)
    for frames in (noise(2, *shape, 3), np.full((2, *shape, 3), 90, np.uint8)):
        before = frames.copy()
        found = changed(name, amount, frames)
        assert found.shape == frames.shape
        assert found.dtype == np.uint8
        assert np.array_equal(frames, before)  # the input is left alone


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_same_happens_to_all_frames(name: str) -> None:
    frames = np.repeat(40 + noise(1, 24, 24, 3) // 2, 5, axis=0)  # room for contrast
    found = changed(name, OPERATIONS[name].amount(7.0), frames)
    assert (found == found[0]).all()
    assert not np.array_equal(found, frames)


def test_a_clip_changes_by_its_generator_alone() -> None:
    frames = noise(3, 32, 32, 3)
    augment = RandAugment(probability=1)
    once, twice, other = (augment(frames, random.Random(seed)) for seed in ("a", "a", "b"))
    assert np.array_equal(once, twice)
    assert not np.array_equal(once, other)
    assert not np.array_equal(once, frames)


def test_no_change_is_no_copy() -> None:
    frames = noise(2, 8, 8, 3)
    assert RandAugment(probability=0)(frames, random.Random(0)) is frames
    assert RandAugment(number=0)(frames, random.Random(0)) is frames


# ---- what each operation does, said without Pillow


def test_operations_on_single_values() -> None:
    frames = noise(2, 9, 9, 3)
    assert np.array_equal(changed("Invert", 7, frames), 255 - frames)
    assert np.array_equal(changed("Posterize", 2, frames), frames & 0b11000000)
    assert np.array_equal(changed("Posterize", 0, frames), frames * 0)
    assert np.array_equal(
        changed("Solarize", 77, frames), np.where(frames < 77, frames, 255 - frames)
    )
    lighter = np.minimum(frames.astype(int) + 77, 255)
    assert np.array_equal(
        changed("SolarizeAdd", 77, frames), np.where(frames < 128, lighter, frames)
    )
    dark = np.minimum(frames * 1.63, 255)
    assert np.abs(changed("Brightness", 0.63, frames) - dark).max() <= 1


def test_colour_and_contrast_leave_a_middle() -> None:
    frames = noise(1, 16, 16, 3)
    grey = changed("Color", -0.9, frames).astype(int)
    assert np.ptp(grey, axis=-1).max() <= 0.1 * 255 + 2
    flat = changed("Contrast", -0.9, frames).astype(int)
    assert np.ptp(flat) <= 0.1 * 255 + 2
    half = (60 + frames // 4).astype(np.uint8)
    stretched = changed("AutoContrast", 7, half)
    assert (stretched.min(), stretched.max()) == (0, 255)


def test_geometry_moves_pixels_and_leaves_grey() -> None:
    frames = noise(1, 20, 20, 3)
    moved = changed("TranslateX", 0.25, frames)
    assert np.array_equal(moved[:, :, :15], frames[:, :, 5:])
    assert (moved[:, :, 15:] == 128).all()
    moved = changed("TranslateY", -0.25, frames)
    assert np.array_equal(moved[:, 5:], frames[:, :15])
    assert (moved[:, :5] == 128).all()
    assert np.array_equal(changed("Rotate", 90, frames)[0], np.rot90(frames[0]))
    white = np.full((1, 20, 20, 3), 255, np.uint8)
    sheared = changed("ShearX", 0.3, white)[0, :, :, 0]
    assert (sheared[0] == 255).all()
    assert (sheared[-1] == 128).sum() == 6  # 0.3 of 20 rows further right
    assert np.array_equal(changed("ShearY", 0.3, white)[0, :, :, 0], sheared.T)


@pytest.mark.parametrize(
    "wrong",
    [
        {"magnitude": 11},
        {"magnitude": -1},
        {"deviation": -0.5},
        {"number": -1},
        {"probability": 1.5},
    ],
)
def test_wrong_settings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match=f"augment.*{next(iter(wrong))}"):
        RandAugment(**wrong)  # type: ignore[arg-type]
