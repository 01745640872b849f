"""An index survives kill -9 at any moment, and ends as if nothing had happened."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from golden_files import MATERIAL
from index_material import COLOURS, ColourRetriever, write_video
from tempme.index import Index

KILLS = 20
VIDEOS = 150
MOST_RUNS = 100
LONGEST_SECONDS = 2.0  # the first run may live so long; from then on it follows the machine

# A run as a process of its own: it says "begin" when it starts to index, "end" when it is done.
RUN = """
import sys
sys.path.insert(0, sys.argv[3])
import torch
import lancedb
from index_material import ColourRetriever
from tempme.index import Index
index = Index.create(sys.argv[1], ColourRetriever())
print("begin", flush=True)
index.add(sys.argv[2], workers=1, prune=True)
print("end", flush=True)
"""


def run_and_kill(index: Path, films: Path, *, after_seconds: float) -> bool:
    """Start a run, kill it some time after it began; whether it was still at work."""
    command = [
        sys.executable,
        "-c",
        RUN,
        str(index),
        str(films),
        str(MATERIAL),
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert run.stdout.readline() == "begin\n"
        time.sleep(after_seconds)
        was_at_work = run.poll() is None
        run.kill()
        return was_at_work and run.stdout.read() == ""


def disturb(films: Path, chance: random.Random) -> None:
    """What a person does between two runs: new, changed, renamed, copied and removed files."""
    present = sorted(films.iterdir())
    mixed = [chance.choice(list(COLOURS)) for _ in range(chance.randint(1, 4))]
    write_video(films / f"new {chance.random()}.mp4", mixed)
    write_video(chance.choice(present), mixed[::-1] * 2)
    chance.choice(present).rename(films / f"renamed {chance.random()}.mp4")
    shutil.copy(chance.choice(sorted(films.iterdir())), films / f"copy {chance.random()}.mp4")
    chance.choice(sorted(films.iterdir())).unlink()


def check_what_is_there(index: Path) -> int:
    """Whatever a reader sees is whole: every ok video has all its moments, once."""
    opened = Index.open(index)
    videos = [video for video in opened.videos() if video.status == "ok"]
    gallery = opened._store.gallery()
    counts = dict(zip(gallery.contents, np.bincount(gallery.owner), strict=True))
    assert {video.digest: video.num_moments for video in videos} == counts
    return len(videos)


def fill(films: Path, chance: random.Random) -> None:
    films.mkdir()
    for i in range(VIDEOS):
        colours = [chance.choice(list(COLOURS)) for _ in range(chance.randint(1, 5))]
        write_video(films / f"{i:03d}.mp4", colours)
    for i in range(5):
        (films / f"bad {i}.mp4").write_bytes(chance.randbytes(2000))


@pytest.mark.slow
def test_twenty_kills_leave_the_index_of_an_undisturbed_run(tmp_path: Path) -> None:
    chance = random.Random(7)
    films, index = tmp_path / "films", tmp_path / "killed.tempme"
    fill(films, chance)
    kills, longest_seconds = 0, LONGEST_SECONDS
    for _ in range(MOST_RUNS):
        if kills == KILLS:
            break
        was_at_work = run_and_kill(index, films, after_seconds=chance.uniform(0, longest_seconds))
        kills += was_at_work
        longest_seconds *= 1.1 if was_at_work else 0.7  # a run that ended was too quick for it
        check_what_is_there(index)
        disturb(films, chance)
    assert kills == KILLS, f"only {kills} of {MOST_RUNS} runs were still at work when killed"
    survivor = Index.open(index, retriever=ColourRetriever())
    report = survivor.add(films, prune=True)
    undisturbed = Index.create(tmp_path / "undisturbed.tempme", ColourRetriever())
    fresh = undisturbed.add(films)
    known = report.videos
    assert known.indexed + known.unchanged + known.renamed == fresh.videos.indexed
    assert survivor.videos() == undisturbed.videos()
    assert report.moments == fresh.moments == check_galleries(survivor, undisturbed)
    for query in COLOURS:
        assert survivor.search(query, 5) == undisturbed.search(query, 5)


def check_galleries(one: Index, other: Index) -> int:
    first, second = one._store.gallery(), other._store.gallery()
    assert (first.contents, first.paths) == (second.contents, second.paths)
    for name in ("owner", "spans", "features"):
        assert np.array_equal(getattr(first, name), getattr(second, name))
    return len(first)
