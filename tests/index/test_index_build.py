"""Runs of indexing: what is new is embedded, what is known is not, and what vanished goes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from index_material import ColourRetriever, new_index, write_films, write_video
from tempme.errors import BadIndex
from tempme.index import Counts, Index, Progress
from tempme.index.building import build
from tempme.video import decode_many


class CountingRetriever(ColourRetriever):
    """Knows how many windows it has seen."""

    windows_seen = 0

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        self.windows_seen += len(windows)
        return super().encode_windows(frames, windows)


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_films(tmp_path / "films")


@pytest.mark.slow
def test_a_folder_becomes_an_index(tmp_path: Path, films: Path) -> None:
    index = new_index(tmp_path)
    report = index.add(films, workers=2)
    assert report.videos == Counts(indexed=3, failed=1)
    assert report.moments == sum(video.num_moments for video in index.videos()) == 4
    assert report.decode_seconds > 0
    assert report.encode_seconds > 0
    assert report.decode_seconds + report.encode_seconds <= report.seconds
    (bad,) = report.failures
    assert bad.path == films / "bad.mp4"
    assert bad.reason
    rows = {video.path.name: video for video in index.videos()}
    assert rows["red.mp4"].codec == "mpeg4"
    assert rows["red.mp4"].duration_seconds == pytest.approx(2.0, abs=0.3)
    assert (rows["red.mp4"].width, rows["red.mp4"].height) == (64, 64)
    assert rows["bad.mp4"].status == "failed"


@pytest.mark.slow
def test_the_second_run_has_nothing_to_do(tmp_path: Path, films: Path) -> None:
    model = CountingRetriever()
    index = new_index(tmp_path, model)
    index.add(films)
    seen, version = model.windows_seen, index._store.version()
    report = index.add(films)
    assert report.videos == Counts(unchanged=3, failed=1)
    assert report.encode_seconds == 0
    assert model.windows_seen == seen
    assert index._store.version() == version


@pytest.mark.slow
def test_a_touched_file_is_unchanged_and_a_changed_one_is_embedded_again(
    tmp_path: Path, films: Path
) -> None:
    model = CountingRetriever()
    index = new_index(tmp_path, model)
    index.add(films)
    seen = model.windows_seen
    os.utime(films / "red.mp4", ns=(1, 1))
    assert index.add(films).videos == Counts(unchanged=3, failed=1)
    assert model.windows_seen == seen
    write_video(films / "red.mp4", ["black"])
    assert index.add(films).videos == Counts(indexed=1, unchanged=2, failed=1)
    assert model.windows_seen == seen + 1
    assert index.search("black", 1)[0].path == films / "red.mp4"
    assert index.search("red", 1)[0].score < 0.5
    assert index._store.num_moments() == 4


@pytest.mark.slow
def test_a_renamed_file_keeps_its_features(tmp_path: Path, films: Path) -> None:
    model = CountingRetriever()
    index = new_index(tmp_path, model)
    index.add(films)
    seen = model.windows_seen
    (films / "red.mp4").rename(films / "more films" / "crimson.mp4")
    (films / "bad.mp4").rename(films / "still bad.mp4")
    report = index.add(films)
    assert report.videos == Counts(unchanged=2, renamed=1, failed=1)
    assert model.windows_seen == seen
    assert index.search("red", 1)[0].path == films / "more films" / "crimson.mp4"
    assert [video.path.name for video in index.videos() if video.status == "failed"] == [
        "still bad.mp4"
    ]


@pytest.mark.slow
def test_two_files_that_swap_names(tmp_path: Path, films: Path) -> None:
    model = CountingRetriever()
    index = new_index(tmp_path, model)
    index.add(films)
    seen = model.windows_seen
    (films / "red.mp4").rename(films / "aside")
    (films / "green blue.mp4").rename(films / "red.mp4")
    (films / "aside").rename(films / "green blue.mp4")
    index.add(films)
    assert model.windows_seen == seen
    assert index.search("red", 1)[0].path == films / "green blue.mp4"
    assert index._store.num_moments() == 4


@pytest.mark.slow
def test_equal_content_is_embedded_once_and_is_one_hit_with_two_paths(
    tmp_path: Path, films: Path
) -> None:
    shutil.copy(films / "red.mp4", films / "more films" / "copy.mp4")
    model = CountingRetriever()
    index = new_index(tmp_path, model)
    report = index.add(films)
    assert report.videos == Counts(indexed=4, failed=1)
    assert model.windows_seen == report.moments == 4
    first, second = index.search("red", 2)
    assert {path.name for path in first.paths} == {"red.mp4", "copy.mp4"}
    assert first.path == first.paths[0]
    assert first.video_id != second.video_id
    (films / "red.mp4").unlink()
    index.add(films, prune=True)
    assert index.search("red", 1)[0].path.name == "copy.mp4"


@pytest.mark.slow
def test_what_vanished_goes_with_prune_only_and_below_the_paths_only(
    tmp_path: Path, films: Path
) -> None:
    index = new_index(tmp_path)
    index.add(films)
    (films / "red.mp4").unlink()
    assert index.add(films).videos == Counts(unchanged=2, failed=1)
    assert len(index.videos()) == 4
    assert index.add(films / "more films", prune=True).videos == Counts(unchanged=1)
    assert index.add(films, prune=True).videos == Counts(unchanged=2, failed=1, removed=1)
    assert len(index.videos()) == 3
    assert index._store.num_moments() == 3


@pytest.mark.slow
def test_failures_are_remembered_and_tried_again_on_demand(
    tmp_path: Path, films: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index(tmp_path)
    index.add(films)
    opened: list[Path] = []

    def noted(paths: Iterator[Path]) -> Iterator[Path]:
        for path in paths:
            opened.append(path)
            yield path

    monkeypatch.setattr(
        build, "decode_many", lambda p, *how, **more: decode_many(noted(p), *how, **more)
    )
    again = index.add(films)
    assert [video.reason for video in again.failures] == [
        video.reason for video in index.videos() if video.status == "failed"
    ]
    assert not opened
    tried = index.add(films, retry_failed=True)
    assert opened == [films / "bad.mp4"]
    assert tried.videos == Counts(unchanged=3, failed=1)
    write_video(films / "bad.mp4", ["white"])
    assert index.add(films).videos == Counts(indexed=1, unchanged=3)
    assert index.status().num_failed == 0


@pytest.mark.slow
def test_a_long_video_comes_in_pieces(tmp_path: Path) -> None:
    colours = ["red", "green", "blue", "yellow", "white"] * 8
    path = write_video(tmp_path / "long.mp4", colours, seconds=4.0)
    index = new_index(tmp_path)
    report = index.add(path)
    gallery = index._store.gallery()
    assert report.moments > 64  # more than one piece
    assert np.array_equal(
        gallery.spans[1:, 0] - gallery.spans[:-1, 0] > 0, [True] * (len(gallery) - 1)
    )
    assert gallery.spans[0, 0] == 0
    assert gallery.spans[-1, 1] == pytest.approx(160, abs=1)
    best = index.search("blue", 1)[0]
    assert colours[int((best.start_seconds + best.end_seconds) / 2 / 4)] == "blue"


@pytest.mark.slow
def test_a_truncated_video_is_used_with_a_note(tmp_path: Path) -> None:
    whole = write_video(tmp_path / "whole.mkv", ["red", "green", "blue", "yellow"], seconds=5)
    content = whole.read_bytes()
    (tmp_path / "cut.mkv").write_bytes(content[: len(content) // 2])
    whole.unlink()
    index = new_index(tmp_path)
    assert index.add(tmp_path / "cut.mkv").videos == Counts(indexed=1)
    (row,) = index.videos()
    assert row.status == "ok"
    assert "truncated" in row.reason
    assert [video.path.name for video in index.status().notes] == ["cut.mkv"]


@pytest.mark.slow
def test_an_interrupted_run_keeps_what_it_has_and_the_next_one_goes_on(
    tmp_path: Path, films: Path
) -> None:
    for i in range(6):
        write_video(films / f"{i}.mp4", ["green"] * (i + 1))
    index = new_index(tmp_path)
    told: list[Progress] = []

    def stop_after_five(progress: Progress) -> None:
        told.append(progress)
        if progress.done >= 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.add(films, workers=1, on_progress=stop_after_five)
    kept = [video for video in index.videos() if video.status == "ok"]
    assert len(index.videos()) == told[-1].done >= 5
    assert told[-1].total == 10
    report = index.add(films, workers=1, on_progress=told.append)
    assert told[-1].done == told[-1].total == 10
    counts = report.videos
    assert counts.unchanged + counts.failed + counts.indexed == 10
    assert counts.unchanged == len(kept)
    undisturbed = Index.create(tmp_path / "other.tempme", ColourRetriever())
    undisturbed.add(films)
    assert index.videos() == undisturbed.videos()


@pytest.mark.slow
@pytest.mark.parametrize("after", [0, 2])
def test_an_index_removed_during_a_run_is_an_error_and_leaves_nothing(
    tmp_path: Path, films: Path, after: int
) -> None:
    index = new_index(tmp_path)

    def remove(progress: Progress) -> None:
        if progress.done >= after:
            shutil.rmtree(index.path, ignore_errors=True)

    with pytest.raises(BadIndex, match="is gone: it was removed or moved"):
        index.add(films, workers=1, on_progress=remove)
    assert not list(index.path.rglob("*.lance"))
    assert new_index(tmp_path).add(films).videos == Counts(indexed=3, failed=1)
