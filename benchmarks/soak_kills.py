"""Kills of every kind, of a run and of its workers, at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np

from soak_films import MODEL, disturb, films, start
from soak_start import Started, Starter
from tempme.index import Index

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
# Every so many kills begin with no index at all, so that its making is hit, too.
AFRESH_EVERY = 5
# So many are started by themselves, so that what they import is hit, too.
ALONE_EVERY = 10
TOLD_EVERY = 20
LONGEST_SECONDS = 6.0
PATIENCE_SECONDS = 10.0


def kills(folder: Path, number: int, chance: random.Random) -> dict[str, Any]:
    """Kill `number` runs, each at work; the index in the end is that of an undisturbed run."""
    clips, index = films(folder / "films", 12, chance), folder / "killed.tempme"
    counts: Counter[str] = Counter()
    longest, starter = LONGEST_SECONDS, Starter()
    while counts["kills"] < number:
        if counts["kills"] % AFRESH_EVERY == 0 and index.exists():
            rmtree(index)
        begin = start if counts["kills"] % ALONE_EVERY == 0 else starter.start
        words = ("index", clips, "--index", index, "--model", MODEL, "--prune", "--workers", 2)
        run = begin(*words, "--json")
        hit = _kill(run, chance, chance.uniform(0, longest), counts)
        counts["kills"] += hit
        longest = max(2.0, longest * (1.05 if hit else 0.8))
        _look(index, counts)
        disturb(clips, chance)
        if hit and counts["kills"] % TOLD_EVERY == 0:
            print(dict(counts), flush=True)
    starter.close()
    return {**counts, "equal_to_undisturbed": _is_undisturbed(clips, index, folder)}


def _kill(
    run: subprocess.Popen[str] | Started,
    chance: random.Random,
    after: float,
    counts: Counter[str],
) -> bool:
    """Whether the run was still at work when the signal came."""
    time.sleep(after)
    workers = _children(run.pid)
    number = chance.choice(SIGNALS)
    of_worker = bool(workers) and chance.random() < 0.3
    was_at_work = run.poll() is None
    with suppress(ProcessLookupError):
        os.kill(chance.choice(workers) if of_worker else run.pid, number)
    try:
        _, err = run.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        run.kill()
        counts["hung"] += 1
        return was_at_work
    counts["orphan_workers"] += _outlived(workers)
    if was_at_work:
        counts[f"{number.name} of {'a worker' if of_worker else 'the run'}"] += 1
    _judge_end(run.poll() or 0, err, of_worker, counts)
    return was_at_work


def _judge_end(code: int, err: str, of_worker: bool, counts: Counter[str]) -> None:
    lines = [line for line in err.splitlines() if line and "videos/s" not in line]
    if of_worker and code != 0:
        counts["runs_lost_with_a_worker"] += 1
        print("lost with a worker:", code, lines, flush=True)
    if "Traceback" in err or (code > 0 and len(lines) != 1):
        counts["ends_in_more_than_one_line"] += 1
        print("end:", code, lines, flush=True)


def _look(index: Path, counts: Counter[str]) -> None:
    """Whatever a reader sees after a kill is whole."""
    if not (index / "index.json").exists():
        counts["killed_before_the_index_was"] += 1
        return
    if Index.open(index).check():
        counts["damaged_by_a_kill"] += 1
        print("damaged:", Index.open(index).check(), flush=True)


def _is_undisturbed(clips: Path, index: Path, folder: Path) -> bool:
    for where in (index, folder / "undisturbed.tempme"):
        run = start("index", clips, "--index", where, "--model", MODEL, "--prune")
        _, err = run.communicate(timeout=600)
        if run.returncode:
            print("last run:", err)
            return False
    one, other = Index.open(index), Index.open(folder / "undisturbed.tempme")
    first, second = one._store.gallery(), other._store.gallery()
    left = [path for path in index.rglob(".*") if path.is_file()]
    if left:
        print("left over:", left)
    return (
        not left
        and [(v.path, v.digest, v.status) for v in one.videos()]
        == [(v.path, v.digest, v.status) for v in other.videos()]
        and (first.contents, first.paths) == (second.contents, second.paths)
        and np.array_equal(first.spans, second.spans)
        and np.allclose(first.features, second.features, atol=2e-3)
    )


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def _outlived(workers: list[int]) -> int:
    """How many workers are still there some time after their run has ended."""
    end = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < end:
        alive = [pid for pid in workers if _is_alive(pid)]
        if not alive:
            return 0
        time.sleep(0.1)
    return len(alive)


def _is_alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
