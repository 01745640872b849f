from __future__ import annotations

from pathlib import Path

import pytest

from tempme.datasets.pairs import Moment, Pair, Split
from tempme.datasets.places import locate
from tempme.errors import BadDataset

TWO_VIDEOS = Split(
    "made/test",
    (
        Pair("b", "a dog"),
        Pair("a", "a cat"),
        Pair("b", "a brown dog"),
        Pair("a", "a cat jumps", 2.0, 5.0),
    ),
)


def test_targets_say_which_caption_belongs_to_which_moment() -> None:
    assert TWO_VIDEOS.moments == (Moment("b"), Moment("a"), Moment("a", 2.0, 5.0))
    assert TWO_VIDEOS.videos == ("b", "a")
    assert TWO_VIDEOS.text_targets == (0, 1, 0, 2)
    assert TWO_VIDEOS.video_targets == ((0, 2), (1,), (3,))
    assert TWO_VIDEOS.has_many_captions
    assert len(TWO_VIDEOS) == 4


def test_only_keeps_the_pairs_of_videos_that_are_there() -> None:
    kept = TWO_VIDEOS.only(["a"])
    assert kept.captions == ("a cat", "a cat jumps")
    assert kept.text_targets == (0, 1)
    assert not kept.has_many_captions


def test_a_split_without_pairs_is_refused() -> None:
    with pytest.raises(BadDataset, match="made/test has no pairs"):
        TWO_VIDEOS.only([])


@pytest.mark.parametrize(
    ("video", "caption", "start", "end"),
    [
        ("", "x", None, None),
        ("v", "  ", None, None),
        ("v", "x", 3.0, 3.0),
        ("v", "x", -1.0, 3.0),
        ("v", "x", None, 0.0),
        ("v", "x", float("nan"), None),
    ],
)
def test_a_pair_that_describes_nothing_is_refused(
    video: str, caption: str, start: float | None, end: float | None
) -> None:
    with pytest.raises(BadDataset):
        Pair(video, caption, start, end)


def test_locate_finds_by_name_stem_and_other_suffix(tmp_path: Path) -> None:
    for name in (
        "one/x.mp4",
        "two/x.webm",
        "0001_A.Film_00.01.mp4",
        "clip.mp4",
        "old.avi.mp4",
        "notes.txt",
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = locate(
        ["x", "one/x.mp4", "0001_A.Film_00.01", "clip.avi", "old", "notes", "gone"], tmp_path
    )
    assert found.paths == {
        "x": tmp_path / "one/x.mp4",
        "one/x.mp4": tmp_path / "one/x.mp4",
        "0001_A.Film_00.01": tmp_path / "0001_A.Film_00.01.mp4",
        "clip.avi": tmp_path / "clip.mp4",
        "old": tmp_path / "old.avi.mp4",
    }
    assert found.missing == ("notes", "gone")
    assert found.duplicated == {"x": (tmp_path / "one/x.mp4", tmp_path / "two/x.webm")}


def test_locate_refuses_what_is_no_folder(tmp_path: Path) -> None:
    with pytest.raises(BadDataset, match="not a folder"):
        locate(["x"], tmp_path / "nowhere")
