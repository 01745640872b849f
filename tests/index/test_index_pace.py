"""How long a run will take: by bytes and measured speed, never by the number of files."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path

import pytest
from torch import Tensor

from index_material import ColourRetriever, new_index, write_video
from tempme.index import Progress
from tempme.index.building import settling
from tempme.index.building.lengths import seconds_of
from tempme.index.building.pace import Pace
from tempme.index.building.scan import File


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def file(name: str, size_bytes: int) -> File:
    return File(Path(name), size_bytes, 0)


def eta_at_each_step(
    windows: list[int], *, bytes_a_window: list[int], says_length: bool, start_seconds: float
) -> list[float]:
    """ETA over true rest where a window takes a second, from a fifth of the run on."""
    clock = Clock()
    pace = Pace(clock=clock)
    each = list(zip(windows, bytes_a_window, strict=True))
    files = [file(str(i), n * size) for i, (n, size) in enumerate(each)]
    known = {one.path: float(n) for one, n in zip(files, windows, strict=True)}
    pace.start(files, lambda one: known[one.path] if says_length else None)
    clock.now = start_seconds  # workers start
    ratios, done = [], 0
    for one, number in zip(files, windows, strict=True):
        for part in range(1, number + 1):
            clock.now += 1.0
            done += 1
            pace.reach(one.path, 1, part / number)
            if 0.2 < done / sum(windows) < 0.98:
                assert pace.eta_seconds is not None
                ratios.append(pace.eta_seconds / (sum(windows) - done))
        pace.finish(one.path)
    assert pace.eta_seconds == pytest.approx(0, abs=1e-6)
    assert pace.done_bytes == pace.total_bytes
    return ratios


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("says_length", [True, False])
def test_files_of_very_different_lengths(seed: int, says_length: bool) -> None:
    draw = random.Random(seed)
    windows = [int(10 ** draw.uniform(0, 3)) for _ in range(40)]
    # Where a file says how long it is, it does not matter how many bytes a second it has.
    widest = 3 if says_length else 0.2
    sizes = [int(1000 * 10 ** draw.uniform(0, widest)) for _ in windows]
    for order in (windows, sorted(windows), sorted(windows, reverse=True)):
        ratios = eta_at_each_step(
            order, bytes_a_window=sizes, says_length=says_length, start_seconds=600.0
        )
        assert min(ratios) > 0.5
        assert max(ratios) < 2


def test_what_is_not_read_promises_nothing() -> None:
    clock = Clock()
    pace = Pace(clock=clock)
    files = [file("copy", 4000), file("a", 1000), file("broken", 3000), file("b", 2000)]
    pace.start(files, lambda _: None)
    clock.now = 1.0
    pace.finish(Path("copy"))
    assert pace.eta_seconds is None
    clock.now = 2.0
    pace.reach(Path("a"), 5, 0.5)
    clock.now = 3.0
    pace.reach(Path("a"), 5, 1.0)
    pace.finish(Path("a"))
    pace.finish(Path("broken"))
    assert pace.eta_seconds == pytest.approx(4.0)  # 20 windows at 5 a second
    assert pace.done_bytes == 8000
    with pace.paused():
        clock.now = 60.0
    assert pace.eta_seconds == pytest.approx(4.0)


def test_a_movie_says_how_long_it_is(tmp_path: Path) -> None:
    film = write_video(tmp_path / "film.mp4", ["red"] * 5, seconds=3)
    assert seconds_of(film) == pytest.approx(15, abs=0.5)
    content = film.read_bytes()
    assert seconds_of(write_video(tmp_path / "film.mkv", ["red"])) is None
    film.write_bytes(content[: len(content) - 600])  # its table of samples is cut
    for number in (0, 8, 20, 40, len(content) // 2):
        (tmp_path / "cut.mp4").write_bytes(content[:number])
        assert seconds_of(tmp_path / "cut.mp4") is None
    (tmp_path / "wild.mp4").write_bytes(b"\0\0\0\0free" * 100)
    (tmp_path / "far.mp4").write_bytes(b"\0\0\0\1mdat" + b"\xff" * 8)
    assert seconds_of(tmp_path / "wild.mp4") is seconds_of(tmp_path / "far.mp4") is None


class WindowClock(ColourRetriever):
    """A machine that does nothing but encode, a window a second, however busy it really is."""

    now = 0.0

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        self.now += len(windows)
        return super().encode_windows(frames, windows)


@pytest.mark.slow
def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many copies, known files and one film that is longer than all others together."""
    films = tmp_path / "films"
    films.mkdir()
    colours = ["red", "green", "blue", "yellow"]
    for i in range(4):
        write_video(films / f"{i}.mp4", colours[i:] + colours[:i], seconds=3)
    for i in range(60):
        shutil.copy(films / "0.mp4", films / f"copy {i}.mp4")
    write_video(films / "long.mp4", colours * 120, seconds=4)
    told: list[tuple[float, Progress]] = []
    machine = WindowClock()
    monkeypatch.setattr(settling, "Pace", partial(Pace, clock=lambda: machine.now))
    index = new_index(tmp_path, machine)
    index.add(films / "3.mp4")
    index.add(films, workers=1, on_progress=lambda p: told.append((machine.now, p)))
    end = told[-1][0]
    assert told[-1][1].eta_seconds == pytest.approx(0, abs=0.01)
    middle = [(at, p) for at, p in told if 0.4 < p.done_bytes / p.total_bytes < 0.9]
    assert len(middle) > 3
    ratios = [p.eta_seconds / (end - at) for at, p in middle if p.eta_seconds is not None]
    assert len(ratios) == len(middle)
    assert min(ratios) > 0.5
    assert max(ratios) < 2
