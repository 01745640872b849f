"""Which windows of a person's videos are looked at, and which of them are held out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from index_material import ColourRetriever, write_video
from tempme.adapting.windows import Sample, held_out, learnt, sample_windows, shares
from tempme.errors import BadSetting, BadVideo
from tempme.index.header import Cutting

CUTTING = Cutting(every_seconds=0.5, overlap=0.5, sampling="exact", fit="squash")


@pytest.mark.parametrize(
    ("lengths", "most", "given"),
    [
        ([5, 5], 10, (5, 5)),
        ([5, 5], 4, (2, 2)),
        ([1, 9], 5, (1, 4)),
        ([100, 1, 1], 12, (10, 1, 1)),
        ([0.2, 0.2], 10, (1, 1)),
        ([3, 3, 3, 3], 2, (1, 0, 1, 0)),
        ([7], 3, (3,)),
    ],
)
def test_longer_videos_give_more_windows(
    lengths: list[float], most: int, given: tuple[int, ...]
) -> None:
    assert shares(lengths, most) == given


def test_shares_use_what_there_is_and_no_more() -> None:
    drawn = np.random.default_rng(0)
    for _ in range(200):
        lengths = drawn.integers(1, 40, drawn.integers(1, 30)).tolist()
        most = int(drawn.integers(1, 120))
        given = shares(lengths, most)
        assert sum(given) == min(most, sum(lengths))
        assert all(one <= length for one, length in zip(given, lengths, strict=True))


def sample(videos: list[int], spans: list[tuple[float, float]]) -> Sample:
    pixels = np.zeros((len(videos), 1, 2, 2, 3), np.uint8)
    paths = tuple(Path(f"{number}.mp4") for number in sorted(set(videos)))
    return Sample(pixels, np.array(videos), np.array(spans, float), paths, len(paths))


def test_of_many_videos_whole_ones_are_held_out() -> None:
    found = sample([n // 3 for n in range(30)], [(n % 3, n % 3 + 2) for n in range(30)])
    apart = held_out(found)
    assert set(found.video[apart]) == {2, 7}
    assert set(found.video[learnt(found, apart)]) == {0, 1, 3, 4, 5, 6, 8, 9}


def test_of_one_video_nothing_learnt_shows_what_is_held_out() -> None:
    found = sample([0] * 12, [(n, n + 2) for n in range(12)])  # each shares half with the next
    apart = held_out(found)
    taught = learnt(found, apart)
    assert np.flatnonzero(apart).tolist() == [2, 7]
    assert np.flatnonzero(taught).tolist() == [0, 4, 5, 9, 10, 11]


@pytest.mark.slow
def test_windows_come_by_video_and_time_the_same_ones_every_time(tmp_path: Path) -> None:
    write_video(tmp_path / "b.mp4", ["red", "blue", "green"])
    write_video(tmp_path / "a.mp4", ["white", "black", "yellow", "red", "blue"], seconds=4)
    (tmp_path / "c.mp4").write_bytes(b"no video" * 500)
    (tmp_path / "notes.txt").write_text("nothing")
    found, again = (
        sample_windows(tmp_path, ColourRetriever(), most=18, cutting=CUTTING) for _ in range(2)
    )
    assert [path.name for path in found.paths] == ["a.mp4", "b.mp4"]
    assert 10 <= len(found) < 18  # the rest would be of the file that is no video
    assert (np.diff(found.video) >= 0).all()
    inside = found.video[1:] == found.video[:-1]
    assert (np.diff(found.spans[:, 0])[inside] > 0).all()
    assert np.bincount(found.video)[0] > np.bincount(found.video)[1]
    assert found.pixels.shape == (len(found), 4, 32, 32, 3)
    assert np.array_equal(found.pixels, again.pixels)
    assert [(item.path.name, found.num_found) for item in found.failures] == [("c.mp4", 3)]
    first = found.pixels[0].mean(axis=(0, 1, 2))
    assert (first > 150).all()  # the first window of a.mp4 is white


@pytest.mark.slow
def test_no_video_none_that_can_be_read_no_such_folder(tmp_path: Path) -> None:
    with pytest.raises(BadVideo, match="no video was found there: name videos"):
        sample_windows(tmp_path, ColourRetriever(), most=10)
    for number in range(5):
        (tmp_path / f"{number}.mp4").write_bytes(b"no video" * 500)
    with pytest.raises(BadVideo, match=r"no video could be read \(.*0\.mp4: .* and 2 more\)"):
        sample_windows(tmp_path, ColourRetriever(), most=10)
    with pytest.raises(BadSetting, match="no such file or folder"):
        sample_windows(tmp_path / "gone", ColourRetriever(), most=10)
