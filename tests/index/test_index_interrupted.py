"""What the machine does to a run is not held against a video: the next run tries it again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from faulty_reading import faulty_pieces
from index_material import new_index, write_films, write_video
from tempme.index import Counts
from tempme.video import workers


@pytest.mark.slow
def test_a_killed_worker_fails_a_video_for_this_run_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    films = write_films(tmp_path / "films")
    (films / "bad.mp4").unlink()
    write_video(films / "killed.mp4", ["blue", "red"])
    write_video(films / "victim.mp4", ["blue", "white"])
    index = new_index(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(workers, "read_pieces", faulty_pieces)
        report = index.add(films, workers=2)
        assert report.videos == Counts(indexed=4, failed=1)
        again = index.add(films, workers=2)
        assert again.videos == Counts(unchanged=4, failed=1)
    for one in (report, again):
        (failure,) = one.failures
        assert (failure.path, failure.status) == (films / "killed.mp4", "interrupted")
        (told,) = json.loads(json.dumps(one.as_dict()))["failures"]
        assert told["status"] == "interrupted"
        assert "ended from outside (SIGKILL)" in told["reason"]
    assert index.status().num_failed == 1
    (films / "killed copy.mp4").write_bytes((films / "killed.mp4").read_bytes())
    assert index.add(films).videos == Counts(indexed=2, unchanged=4)
    assert index.status().num_failed == 0
    assert index.search("red", 3)[0].path.name.startswith(("red", "killed"))


@pytest.mark.slow
def test_a_video_that_needs_too_much_memory_stays_failed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = new_index(tmp_path)
    film = write_video(tmp_path / "hog.mp4", ["red"])
    with monkeypatch.context() as patch:
        patch.setattr(workers, "read_pieces", faulty_pieces)
        (failure,) = index.add(film, worker_memory_mb=300).failures
        assert failure.status == "failed"
        assert "300 MB: raise worker_memory_mb" in failure.reason
    assert index.add(film).videos == Counts(failed=1)
    assert index.add(film, retry_failed=True).videos == Counts(indexed=1)


@pytest.mark.slow
def test_what_could_not_be_opened_is_looked_at_again(tmp_path: Path) -> None:
    """Also in an index that was made when only `--retry-failed` did that."""
    index = new_index(tmp_path)
    film = write_video(tmp_path / "red.mp4", ["red"])
    index.add(film)
    (row,) = index.videos()
    index._store.put(
        [replace(row, digest="", status="failed", reason="permission denied", num_moments=0)], []
    )
    assert index.status().num_failed == 1
    assert index.add(film).videos == Counts(indexed=1)
