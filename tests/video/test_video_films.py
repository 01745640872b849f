"""Long films in stretches: the pieces of a single pass, or a single pass where that is not sure."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from drawn_videos import FPS, draw
from fault_files import FAULTS
from faulty_reading import dying_answer
from film_crew import Crew, both, same
from kinds_of_files import H264, NUM, READING, SEEKING
from my_workers import my_workers
from tempme.processes.keeper import Keeper
from tempme.video import Failure, Reading, VideoWindows, decode_many, workers
from tempme.video.films import Answered, Assignment, Films
from tempme.video.stretches import Done
from tempme.video.workers import answer, read_pieces

PIECES = Reading(size=64, frames=4, every_seconds=0.5, piece_windows=2)
SAMPLINGS = ("exact", "keyframes", "auto", "fast")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


@pytest.fixture(scope="module")
def film(folder: Path) -> Path:
    return draw(folder / "film.mp4", frames=240, options=H264)


@pytest.mark.one_in(3)
@pytest.mark.parametrize("name", [*SEEKING, *READING])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_film_in_stretches_is_that_of_a_single_pass(
    name: str, sampling: Any, folder: Path
) -> None:
    file, *_, how = (SEEKING | READING)[name]
    path = folder / f"{name} {file}"
    if not path.exists():
        draw(path, frames=NUM, **how)
    crew = Crew()
    pieces = both(path, replace(PIECES, sampling=sampling), crew)
    assert crew.num_stretches == (len(pieces) if name in SEEKING else 0)
    assert len(crew.looks) == 1
    assert len(pieces) > 3


@pytest.mark.parametrize("overlap", [0.0, 0.75])
def test_stretches_meet_whatever_the_windows_share(film: Path, overlap: float) -> None:
    crew = Crew()
    both(film, replace(PIECES, overlap=overlap, piece_windows=6), crew)
    assert crew.num_stretches > 1
    assert len(crew.looks) == 1


def test_what_begins_late_or_is_shown_by_an_edit_list(folder: Path) -> None:
    path = folder / "late.mp4"
    times = [3.0 + i / FPS for i in range(NUM)]
    crew = Crew()
    pieces = both(draw(path, options=H264, times=times, frames=NUM), PIECES, crew)
    assert crew.num_stretches == len(pieces)


@pytest.mark.parametrize("refresh", ["intra-refresh=1", ""])
def test_keyframes_at_which_decoding_may_not_start(refresh: str, folder: Path) -> None:
    """Pictures that are refreshed bit by bit, and packets that are called keyframes falsely."""
    path = folder / f"no keys {refresh}.mkv"
    options = {**H264, "bf": "0", "g": "24", "x264-params": refresh}
    draw(path, frames=2 * NUM, options=options, picture=moving)
    if not refresh:
        path = called_keys(path, folder / "called keys.mp4")
    crew = Crew()
    pieces = both(path, replace(PIECES, piece_windows=6, sampling="exact"), crew)
    assert crew.num_stretches > 1
    assert len(crew.looks) == 2  # and it was given up
    assert crew.looks[-1].told < len(pieces)


def moving(number: int) -> np.ndarray:
    """A picture of which every part changes from frame to frame, too much to be drawn again."""
    grain = np.random.default_rng(number // 40).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    return np.roll(grain, number, axis=1)


def called_keys(path: Path, target: Path) -> Path:
    """The same packets, each of which claims to be a keyframe."""
    with av.open(str(path)) as source, av.open(str(target), "w") as out:
        stream = out.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                packet.is_keyframe = True
                out.mux(packet)
    return target


@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_damage_within_is_met_as_in_a_single_pass(film: Path, folder: Path, sampling: Any) -> None:
    content = bytearray(film.read_bytes())
    place = content.index(b"mdat") + len(content) // 2
    content[place : place + 300] = bytes(300)
    path = folder / f"damaged {sampling}.mp4"
    path.write_bytes(content)
    both(path, replace(PIECES, sampling=sampling), Crew())


@pytest.mark.parametrize("share", [0.3, 0.8])
@pytest.mark.parametrize("file", ["a.mp4", "a.mkv"])
def test_cut_files_are_read_in_one_pass(file: str, share: float, folder: Path) -> None:
    path = folder / f"cut {share} {file}"
    draw(path, frames=NUM, options=H264, container=FASTSTART if file == "a.mp4" else {})
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    crew = Crew()
    both(path, PIECES, crew)
    assert not crew.num_stretches


FASTSTART = {"movflags": "faststart"}


@pytest.mark.parametrize(
    "name", ["joined.ts", "cut3.mkv", "late_video.mp4", "preview_first.mkv", "half_faststart.mp4"]
)
def test_files_with_faults(name: str) -> None:
    reading = replace(PIECES, piece_windows=1)
    assert len(both(FAULTS / name, reading, Crew())) > 1


def test_a_film_of_one_group_is_read_in_one_pass(folder: Path) -> None:
    crew = Crew()
    path = draw(folder / "one group.mp4", frames=NUM, options={**H264, "g": "1000"})
    both(path, PIECES, crew)
    assert not crew.num_stretches


def test_a_short_film_is_read_in_one_pass(film: Path) -> None:
    crew = Crew()
    both(film, replace(PIECES, piece_windows=64), crew)
    assert not crew.num_stretches


def test_films_among_others_keep_their_order(film: Path, folder: Path) -> None:
    short = [draw(folder / f"short {i}.mp4", frames=10) for i in range(3)]
    bad = folder / "bad.mp4"
    bad.write_bytes(b"no video")
    paths = [short[0], film, bad, short[1], film, short[2]]
    found = list(Crew().read(paths, PIECES))
    assert sum(isinstance(p, Failure) or p.is_last for _, p in found) == len(paths)
    of_film = [piece for path, piece in found if path == film]
    for _, piece in found:
        assert isinstance(piece, Failure | VideoWindows)
    counts = np.bincount([piece.piece for piece in of_film])
    assert counts.tolist() == [2] * len(counts)
    assert {path for path, _ in found} == set(paths)


def test_no_more_stretches_are_out_than_may_wait(film: Path) -> None:
    films = Films(iter([film]), PIECES, ahead=2)
    look = next(films)
    (found,) = answer(look, lambda: None, look=read_pieces, reading=PIECES)
    assert list(films.told(look, found)) == []
    first, second = next(films), next(films)
    assert (first.part, second.part) == (0, 1)
    assert films._of_films() is None  # until the first of them is told
    (late,) = answer(second, lambda: None, look=read_pieces, reading=PIECES)
    assert list(films.told(second, late)) == []
    assert films._of_films() is None
    (early,) = answer(first, lambda: None, look=read_pieces, reading=PIECES)
    assert [piece.piece for _, piece in films.told(first, early)] == [0, 1]
    assert next(films).part == 2
    films.close()
    assert next(films, None) is None


@pytest.mark.parametrize("has_piece", [True, False])
def test_a_film_whose_time_is_up_keeps_what_is_there(film: Path, has_piece: bool) -> None:
    def late(asked: Assignment, made: Answered) -> Answered:
        if not isinstance(made, Done) or asked.part != 2:
            return made
        return replace(made, piece=made.piece if has_piece else None, seam=None, late=7.0)

    pieces = [piece for _, piece in Crew(late).read([film], PIECES)]
    assert [piece.piece for piece in pieces] == [0, 1, 2]
    assert [piece.is_last for piece in pieces] == [False, False, True]
    end = pieces[2 if has_piece else 1].spans[-1, 1]
    assert pieces[-1].note == pieces[-1].info.note
    assert pieces[-1].note == f"timeout after 7 s: used the first {end:.1f} s"
    assert len(pieces[-1].windows) == (2 if has_piece else 0)


def test_the_work_of_all_processes_counts(film: Path) -> None:
    def slow(_: Assignment, made: Answered) -> Answered:
        return replace(made, seconds=40.0) if isinstance(made, Done) else made

    reading = replace(PIECES, total_seconds=100.0)
    pieces = [piece for _, piece in Crew(slow).read([film], reading)]
    assert [piece.piece for piece in pieces] == [0, 1, 2]
    assert pieces[-1].is_last
    assert pieces[-1].note.startswith("timeout after 100 s: used the first ")


@pytest.mark.slow
def test_processes_decode_one_film_together(film: Path) -> None:
    for sampling in SAMPLINGS:
        reading = replace(PIECES, sampling=sampling)
        alone = [piece for _, piece in decode_many([film], reading, workers=1)]
        among = [piece for _, piece in decode_many([film], reading, workers=2)]
        same(among, alone)


@pytest.mark.slow
def test_a_stretch_that_ends_its_process_is_the_failure_of_its_film(
    film: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "answer", dying_answer)
    short = draw(folder / "beside.mp4", frames=10)
    found = list(decode_many([film, short], PIECES, workers=2))
    assert [p for path, p in found if path == film][-1] == Failure(
        film, "crashed the process that read it (SIGSEGV)"
    )
    assert all(isinstance(p, VideoWindows) for path, p in found if path == short)
    closed = [path for path, p in found if isinstance(p, Failure) or p.is_last]
    assert sorted(closed) == sorted([film, short])


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="Linux lists processes so")
@pytest.mark.parametrize("end", [KeyboardInterrupt, None])
def test_whatever_ends_a_film_ends_its_processes(film: Path, end: Any) -> None:
    """With workers that wait for stretches, and with ones that are at them."""
    for reading in (PIECES, replace(PIECES, piece_windows=64)):
        before, threads = my_workers(), set(threading.enumerate())
        answers = decode_many([film], reading, workers=3)
        next(answers)
        processes = my_workers() - before
        assert processes
        if end is None:
            answers.close()
        else:
            with pytest.raises(end):
                answers.throw(end)
        assert not any(process.exists() for process in processes)
        left = set(threading.enumerate()) - threads
        assert not [thread for thread in left if isinstance(thread, Keeper)]
