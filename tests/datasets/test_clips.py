from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest

from tempme.datasets.augment import RandAugment
from tempme.datasets.clips import ClipBatches, Clips
from tempme.datasets.frames import read_moment
from tempme.datasets.moment_reader import MomentJob, Reader
from tempme.datasets.order import PairOrder
from tempme.datasets.pairs import Moment, Pair, Split
from tempme.errors import BadDataset, BadSetting
from tempme.scenes import write
from tempme.video import Frames, Reading

FRAMES, SIZE = 3, 32
GOOD = ("a", "b", "c", "d", "e")
BAD = {"damaged": "", "empty": "", "frameless": "", "gone": "missing"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five videos of scenes, and four that cannot be used."""
    made = tmp_path_factory.mktemp("videos")
    pairs = write(len(GOOD), made / "drawn", size=SIZE, fps=6, codec="mpeg4")
    for name, path in zip(GOOD, dict.fromkeys(Path(pair.video) for pair in pairs), strict=True):
        path.rename(made / f"{name}.avi")
    (made / "damaged.avi").write_bytes((made / "a.avi").read_bytes()[:3000] + bytes(5000))
    (made / "empty.mp4").touch()
    with av.open(str(made / "frameless.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=6)
        stream.width = stream.height = SIZE
        container.start_encoding()
    return made


def split_of(videos: Sequence[str], captions: int) -> Split:
    pairs = (Pair(video, f"{video} {number}") for video in videos for number in range(captions))
    return Split("made/train", tuple(pairs))


ALL = split_of((*GOOD, *BAD), 3)


def batches(split: Split, folder: Path | None, **changes: object) -> ClipBatches:
    settings = {"frames": FRAMES, "size": SIZE, "batch": 6, "seed": 1, "workers": 0}
    return ClipBatches(split, folder, **(settings | changes))  # type: ignore[arg-type]


def assert_same(one: Clips, other: Clips) -> None:
    assert np.array_equal(one.frames, other.frames)
    assert one[1:] == other[1:]


# ---- the order


def test_every_pair_comes_once_an_epoch() -> None:
    split = split_of(GOOD, 5)
    order = PairOrder(split, batch=4, seed=0)
    assert order.steps_per_epoch == 6
    epochs = [
        [pair for step in range(6 * epoch, 6 * epoch + 6) for pair in order.pairs(step)]
        for epoch in range(3)
    ]
    for epoch in epochs:
        assert len(set(epoch)) == len(epoch) == 24
        assert set(epoch) < set(range(25))
    assert epochs[0] != epochs[1] != epochs[2]
    assert PairOrder(split, batch=4, seed=0).pairs(13) == order.pairs(13)
    assert PairOrder(split, batch=4, seed=1).pairs(13) != order.pairs(13)


def test_substitutes_are_of_every_other_video_and_rather_not_of_the_step() -> None:
    split = split_of([f"v{number}" for number in range(20)], 2)
    order = PairOrder(split, batch=5, seed=0)
    targets = split.text_targets
    shown = {targets[pair] for pair in order.pairs(7)}
    own = targets[order.pairs(7)[2]]
    found = [targets[pair] for pair in order.substitutes(7, 2)]
    assert set(found) == set(range(20)) - {own}
    assert len(found) == 19
    assert set(found[-len(shown) + 1 :]) == shown - {own}
    assert found != [targets[pair] for pair in order.substitutes(7, 3)]


def test_other_captions() -> None:
    split = Split("few", (*split_of(("a", "b"), 3).pairs, Pair("c", "alone")))
    order = PairOrder(split, batch=1, seed=0)
    seen = Counter(order.other(step, 0, 1) for step in range(100))
    assert set(seen) == {0, 2}
    assert order.other(0, 0, 6) == 6


# ---- batches


def test_a_batch_shows_its_pairs(folder: Path) -> None:
    split = split_of(GOOD, 3)
    made = batches(split, folder)
    assert len(made) == made.steps_per_epoch == 2
    frames, captions, others, videos = made[1]
    assert frames.shape == (6, FRAMES, SIZE, SIZE, 3)
    assert frames.dtype == np.uint8
    for clip, caption, other, number in zip(frames, captions, others, videos, strict=True):
        moment = split.moments[number]
        read = read_moment(
            folder / f"{moment.video}.avi", moment, Reading(frames=FRAMES, size=SIZE)
        )
        assert isinstance(read, Frames)
        assert np.array_equal(clip, read.pixels)
        assert caption.split()[0] == other.split()[0] == moment.video
        assert caption != other
    assert captions == [split.captions[pair] for pair in made.order.pairs(1)]
    assert not made.failed


@pytest.mark.slow
def test_workers_make_no_difference(folder: Path) -> None:
    steps = (0, 1, 2, 7, 3)
    with batches(ALL, folder, augment=True) as here:
        expected = [here[step] for step in steps]
    for workers in (1, 2):
        with batches(ALL, folder, augment=True, workers=workers) as made:
            for step, batch in zip(steps, expected, strict=True):
                assert_same(made[step], batch)
            assert set(made.failed) == set(here.failed) == set(BAD)


def test_a_step_is_the_same_whenever_it_is_asked(folder: Path) -> None:
    once = batches(ALL, folder)
    before = [once[step] for step in range(6)]
    assert_same(batches(ALL, folder)[5], before[5])
    assert_same(once[2], before[2])
    different = batches(ALL, folder, seed=2)[5]
    assert different.captions != before[5].captions


def test_shares_make_up_the_batch(folder: Path) -> None:
    whole = batches(ALL, folder, augment=True)
    ranks = [batches(ALL, folder, augment=True) for _ in range(3)]
    for step in (0, 1, 4):
        parts = [made.part(step, rank, 3) for rank, made in enumerate(ranks)]
        frames, captions, others, videos = whole[step]
        assert np.array_equal(np.concatenate([part.frames for part in parts]), frames)
        assert [caption for part in parts for caption in part.captions] == captions
        assert [caption for part in parts for caption in part.others] == others
        assert [number for part in parts for number in part.videos] == videos


def test_files_that_cannot_be_read_are_replaced_and_counted(folder: Path) -> None:
    made = batches(ALL, folder, batch=8)
    assert made.failed == {"gone": f"missing: no file of this name below {folder}"}
    assert made.steps_per_epoch == 3  # of the 24 pairs that have a file
    moments = made.order.split.moments
    for step in range(3):
        wanted = [made.order.split.pairs[pair].video for pair in made.order.pairs(step)]
        batch = made[step]
        got = [moments[number].video for number in batch.videos]
        assert all(one == other or one in BAD for one, other in zip(wanted, got, strict=True))
        assert set(got) <= set(GOOD)
        assert all(clip.std() > 0 for clip in batch.frames)
    assert set(made.failed) == set(BAD)
    assert all(made.failed.values())


def test_a_bad_file_ends_the_run_if_asked(folder: Path) -> None:
    with pytest.raises(BadDataset, match=r"gone: missing.*on_bad = 'skip'"):
        batches(ALL, folder, on_bad="fail")
    here = split_of((*GOOD, "damaged"), 1)
    with pytest.raises(BadDataset, match=r"damaged: .*on_bad = 'skip'"):
        batches(here, folder, on_bad="fail")[0]


def test_where_nothing_can_be_read_the_first_is_named(folder: Path) -> None:
    none = split_of(("damaged", "empty", "frameless"), 2)
    with pytest.raises(BadDataset, match=r"no video of made/train can be read; the first, "):
        batches(none, folder, batch=2)[0]
    with pytest.raises(BadDataset, match="none of the 2 videos"):
        batches(split_of(("gone", "away"), 1), folder, batch=1)


def test_augmentation_is_off_unless_asked_and_differs_between_captions(folder: Path) -> None:
    split = split_of(("a",), 4)
    plain = batches(split, folder, batch=4)[0].frames
    assert (plain == plain[0]).all()
    wild = RandAugment(probability=1)
    looks = batches(split, folder, batch=4, augment=wild)[0].frames
    assert len(np.unique(looks.reshape(4, -1), axis=0)) == 4
    assert not (looks == plain).all(axis=(1, 2, 3, 4)).any()
    assert np.array_equal(batches(split, folder, batch=4, augment=False)[0].frames, plain)


def test_a_video_is_read_once_for_all_its_rows(folder: Path) -> None:
    moment, reading = Moment("a"), Reading(frames=FRAMES, size=SIZE)
    plain, changed = (Reader(reading, change) for change in (None, RandAugment()))
    job = MomentJob(folder / "a.avi", moment, ("0", "1", "2"))
    assert np.shape(plain(job)) == (1, FRAMES, SIZE, SIZE, 3)
    assert np.shape(changed(job)) == (3, FRAMES, SIZE, SIZE, 3)


def test_moments_of_one_file_are_videos_of_their_own(tmp_path: Path) -> None:
    pairs = write(1, tmp_path, size=SIZE, fps=6, codec="mpeg4", scenes_per_video=3, part="static")
    split = Split("scenes", pairs)
    assert len(split.moments) == 3
    assert len(split.videos) == 1
    made = batches(split, None, batch=len(split))[0]
    assert sorted(set(made.videos)) == [0, 1, 2]
    first = [made.videos.index(number) for number in range(3)]
    assert len(np.unique(made.frames[first].reshape(3, -1), axis=0)) == 3


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"batch": 0}, "batch is 0"),
        ({"frames": 0}, "frames is 0"),
        ({"size": -1}, "size is -1"),
        ({"on_bad": "hide"}, "possible: skip, fail"),
        ({"batch": 100}, "15 pairs here, fewer than one batch of 100"),
        ({"workers": -1}, "workers is -1"),
    ],
)
def test_wrong_settings_are_refused(folder: Path, changes: dict[str, object], what: str) -> None:
    with pytest.raises(BadSetting, match=what):
        batches(split_of(GOOD, 3), folder, **changes)[0]


def test_wrong_shares_are_refused(folder: Path) -> None:
    made = batches(split_of(GOOD, 3), folder)
    with pytest.raises(BadSetting, match="6 has no 4 equal shares"):
        made.part(0, 0, 4)
    with pytest.raises(BadSetting, match="share 2 of 2"):
        made.part(0, 2, 2)
    with pytest.raises(BadSetting, match="step -1"):
        made[-1]
    with pytest.raises(BadSetting, match="say in which folder"):
        batches(split_of(GOOD, 3), None)


def test_workers_load_no_torch() -> None:
    code = "import sys, tempme.datasets.clips; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
