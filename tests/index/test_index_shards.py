"""Shards: made once, whole or not at all, and any index comes of them."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from index_material import ColourRetriever, write_films, write_video
from shard_runs import counts, loaded, run, shards_in
from tempme.errors import BadIndex, BadSetting
from tempme.index import Index
from tempme.index.shards.filling import fill
from tempme.index.shards.loading import load
from tempme.index.shards.opening import open_shards

WIDTH = 8


@pytest.fixture
def films(tmp_path: Path) -> Path:
    return write_films(tmp_path / "films")


def answers(index: Index) -> list[dict[str, object]]:
    queries = ("red", "blue and green", "yellow", "white")
    return [hit.as_dict() for query in queries for hit in index.search(query, moments=True)]


@pytest.mark.slow
def test_an_index_of_shards_answers_as_one_made_directly(films: Path, tmp_path: Path) -> None:
    shutil.copy(films / "red.mp4", films / "copy of red.mp4")
    direct = Index.create(tmp_path / "direct.tempme", ColourRetriever())
    direct.add(films, workers=2)
    shards = shards_in(tmp_path / "shards")
    report = run(shards, films)
    assert counts(report) == {"indexed": 4, "failed": 1}
    assert len(shards.digests()) == 4  # red and its copy are one, what is broken is one, too
    index = loaded(shards, tmp_path / "of shards.tempme")
    assert answers(index) == answers(direct)
    assert [replace(row, path=Path()) for row in index.videos()] == [
        replace(row, path=Path()) for row in direct.videos()
    ]


@pytest.mark.slow
def test_what_has_a_shard_is_not_made_again(films: Path, tmp_path: Path) -> None:
    shards = shards_in(tmp_path / "shards")
    run(shards, films)
    before = {listed.name: shards.place.read(listed.name) for listed in shards.place.files("units")}
    assert counts(run(shards, films)) == {"unchanged": 3, "failed": 1}
    (films / "red.mp4").touch()  # another time, the same content
    assert run(shards, films).moments == 0
    after = {listed.name: shards.place.read(listed.name) for listed in shards.place.files("units")}
    assert after == before


@pytest.mark.slow
def test_a_shard_that_is_damaged_is_named_and_made_again(films: Path, tmp_path: Path) -> None:
    shards = shards_in(tmp_path / "shards")
    run(shards, films)
    units = Path(shards.place.uri) / "units"
    files = sorted(units.rglob("*.parquet"), key=lambda path: -path.stat().st_size)
    (units / "zz").mkdir()
    (units / "zz" / "notes.txt").write_text("not a shard")
    whole = [path.read_bytes() for path in files]
    files[0].write_bytes(whole[0][: len(whole[0]) // 2])
    files[1].write_bytes(b"")
    moments = shards.read(files[2].stem).moments  # type: ignore[union-attr]
    assert moments is not None
    changed = bytearray(whole[2])
    changed[whole[2].index(moments.features.tobytes()) + 5] ^= 1
    files[2].write_bytes(changed)
    files[3].write_bytes(whole[0])  # of another content
    index = Index.create(tmp_path / "a.tempme", ColourRetriever(), source="colours")
    told = load(shards, index._store)
    assert {one.name for one in told.damaged} == {
        *(path.relative_to(shards.place.uri).as_posix() for path in files),
        "units/zz/notes.txt",
    }
    assert all(one.reason for one in told.damaged)
    assert (len(told.unmade), told.written) == (4, 0)
    run(shards, films)
    assert [path.read_bytes() for path in files] == whole
    assert load(shards, index._store).written == 4


@pytest.mark.slow
def test_files_that_move_change_and_go(films: Path, tmp_path: Path) -> None:
    shards = shards_in(tmp_path / "shards")
    run(shards, films)
    index = loaded(shards, tmp_path / "a.tempme")
    (films / "red.mp4").rename(films / "still red.mp4")
    write_video(films / "green blue.mp4", ["yellow"])
    (films / "bad.mp4").unlink()
    assert counts(run(shards, films)) == {"indexed": 1, "renamed": 1, "unchanged": 1}
    load(shards, index._store)
    names = [row.path.name for row in index.videos()]
    assert "red.mp4" not in names
    assert "still red.mp4" in names
    assert not any("blue" in hit.path.name for hit in index.search("blue", min_score=0.5))
    report = run(shards, films, prune=True)
    assert counts(report) == {"unchanged": 3, "removed": 1}
    load(shards, index._store)
    assert "bad.mp4" not in [row.path.name for row in index.videos()]
    (films / "more films" / "yellow \N{CLAPPER BOARD}.mkv").unlink()
    with pytest.raises(BadSetting, match="not mounted"):
        run(shards, films / "more films", prune=True)


@pytest.mark.slow
def test_failures_are_kept_and_tried_again_on_demand(films: Path, tmp_path: Path) -> None:
    shards = shards_in(tmp_path / "shards")
    assert [v.path.name for v in run(shards, films / "bad.mp4").failures] == ["bad.mp4"]
    (unit,) = shards.digests()
    assert shards.read(unit).row.status == "failed"  # type: ignore[union-attr]
    assert counts(run(shards, films / "bad.mp4")) == {"failed": 1}
    assert counts(run(shards, films / "bad.mp4", retry_failed=True)) == {"failed": 1}


@pytest.mark.slow
def test_pictures_are_moments_without_length(films: Path, tmp_path: Path) -> None:
    from PIL import Image

    Image.new("RGB", (64, 64), (220, 30, 30)).save(films / "still.png")
    shards = shards_in(tmp_path / "shards")
    run(shards, films, pictures=True)
    direct = Index.create(tmp_path / "direct.tempme", ColourRetriever())
    direct.add(films, pictures=True, workers=1)
    assert answers(loaded(shards, tmp_path / "a.tempme")) == answers(direct)


@pytest.mark.slow
def test_a_film_in_pieces_is_one_shard_and_leaves_none(tmp_path: Path) -> None:
    film = write_video(tmp_path / "long.mp4", ["red", "green", "blue"] * 30, seconds=6.0, fps=2)
    shards = shards_in(tmp_path / "shards")
    report = run(shards, film)
    assert report.moments > 64
    direct = Index.create(tmp_path / "direct.tempme", ColourRetriever())
    direct.add(film, workers=1)
    assert answers(loaded(shards, tmp_path / "a.tempme")) == answers(direct)
    assert shards.place.files("pieces") == []


@pytest.mark.slow
def test_shards_of_two_recipes_lie_side_by_side(films: Path, tmp_path: Path) -> None:
    for every in (1.0, 0.5):
        run(shards_in(tmp_path / "shards", every_seconds=every), films / "red.mp4")
    with pytest.raises(BadSetting, match="several models or cuttings"):
        open_shards(tmp_path / "shards")
    first, second = sorted(path for path in (tmp_path / "shards").iterdir())
    assert {open_shards(path).recipe for path in (first, second)} == {first.name, second.name}
    with pytest.raises(BadIndex, match="no shards in"):
        open_shards(tmp_path / "nothing")
    shutil.copy(first / "index.json", second / "index.json")
    with pytest.raises(BadIndex, match="of other shards"):
        open_shards(second)


@pytest.mark.slow
def test_an_index_of_another_model_is_not_filled(films: Path, tmp_path: Path) -> None:
    shards = shards_in(tmp_path / "shards")
    run(shards, films / "red.mp4")
    Index.create(tmp_path / "a.tempme", ColourRetriever("others"))
    with pytest.raises(BadSetting, match="another model"):
        fill(str(tmp_path / "shards"), tmp_path / "a.tempme")


KILLED = """
import sys
from tempme.cli import main
sys.argv = ["tempme", "index", *sys.argv[1:]]
main()
"""


@contextmanager
def indexing(*words: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_and_loses_what_was_in_flight(tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for number in range(12):
        colours = ["red", "green", "blue", "yellow"]
        write_video(films / f"{number:02d}.mp4", [colours[number % 4], colours[number // 4]])
    words = (films, "--shards", tmp_path / "shards", "--workers", 1, "--model", "scenes-tiny")
    kept: set[str] = set()
    for least in (2, 6):
        with indexing(*words) as process:
            while process.poll() is None and len(kept) < least:
                found = (tmp_path / "shards").rglob("units/*/*.parquet")
                kept = {path.name for path in found if not path.name.startswith(".")}  # a draft
            process.send_signal(signal.SIGKILL)
    whole = open_shards(tmp_path / "shards")
    before = {name: whole.place.read(f"units/{name[:2]}/{name}") for name in kept}
    assert all(whole.is_done(name.removesuffix(".parquet")) for name in kept)
    with indexing(*words) as process:
        assert process.wait(600) == 0
    assert len(whole.digests()) == 12
    assert before == {name: whole.place.read(f"units/{name[:2]}/{name}") for name in kept}


@pytest.mark.slow
def test_two_runs_at_once_make_the_same_shards(films: Path, tmp_path: Path) -> None:
    words = (films, "--shards", tmp_path / "shards", "--workers", 1, "--model", "scenes-tiny")
    with indexing(*words) as one, indexing(*words) as other:
        assert (one.wait(600), other.wait(600)) == (0, 0)
    assert len(open_shards(tmp_path / "shards").digests()) == 4
    name, told = fill(str(tmp_path / "shards"), tmp_path / "a.tempme")
    assert (name, told.written, told.damaged) == (str(tmp_path / "a.tempme"), 4, ())
    status = json.loads(json.dumps(Index.open(tmp_path / "a.tempme").status().as_dict()))
    assert (status["num_videos"], status["num_failed"], status["num_damaged"]) == (3, 1, 0)
