"""Two browsers, a service that watches, and a `tempme index` beside it, on one index at once."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from browsing import browser, needs_chromium, opened
from index_material import write_video
from serving_material import wait_for
from serving_processes import PROGRAM, answer, serving
from tempme.index import Index

needs_chromium()
VIDEOS = 4


def put(folder: Path, name: str, colours: list[str], seconds: float) -> None:
    """A file that is whole as soon as it is there."""
    made = write_video(folder.parent / f"making {name}", colours, seconds=seconds)
    made.rename(folder / name)


@pytest.mark.slow
def test_a_crowd_on_one_index_gets_along(tmp_path: Path) -> None:
    watched, indexed, index = tmp_path / "watched", tmp_path / "indexed", tmp_path / "a.tempme"
    for folder in (watched, indexed):
        folder.mkdir()
    for number in range(VIDEOS):
        put(indexed, f"i{number}.mp4", ["red", "blue"], 3 + number)
    Index.open(index, retriever="scenes-tiny", create=True)
    words = ["index", str(indexed), "-i", str(index)]
    with (
        serving(index, "--root", str(watched), "--watch") as (_, address),
        browser() as chromium,
        opened(chromium, address + "/") as one,
        opened(chromium, address + "/?view=library") as two,
    ):
        beside = ThreadPoolExecutor(1).submit(wait_for, lambda: indexes(words), seconds=240)
        for number in range(VIDEOS):
            put(watched, f"w{number}.mp4", ["green", "yellow"], 3 + number)
            for page in (one, two):
                look_for(page, address, "a red circle")
        assert beside.result(300)
        expected = {f"{kind}{number}.mp4" for kind in "iw" for number in range(VIDEOS)}
        wait_for(lambda: names_in(address) == expected, seconds=240)
        for page in (one, two):
            look_for(page, address, "a red circle")
            assert set(page.locator(".card .name").all_inner_texts()) == expected
    left = Index.open(index)
    assert {video.path.name for video in left.videos() if video.status == "ok"} == expected
    assert not left.check()


def indexes(words: list[str]) -> bool:
    """Run it; False where it says that the service is writing, and to try again."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 or "another run is writing" in done.stderr, done.stderr
    return done.returncode == 0


def names_in(address: str) -> set[str]:
    return {video["name"] for video in answer(address, "/v1/videos")["videos"]}


def look_for(page: Any, address: str, words: str) -> None:
    """Search; hits or none, but no error."""
    page.goto(f"{address}/?q={words.replace(' ', '+')}")
    page.wait_for_selector(".summary:not(:has-text('Searching')), .state", timeout=60_000)
    assert page.locator(".state.error").count() == 0, page.locator(".state.error").inner_text()
