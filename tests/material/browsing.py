"""Debian's Chromium, driven by Playwright; screenshots go to a folder that git ignores."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = os.environ.get("TEMPME_CHROMIUM") or shutil.which("chromium") or ""
SCREENSHOTS = Path(__file__).parents[2] / "screenshots"


def needs_chromium() -> None:
    """Skip where there is no browser to drive."""
    pytest.importorskip("playwright.sync_api", reason="needs Playwright: pip install tempme[dev]")
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium, or TEMPME_CHROMIUM=/path")


@contextmanager
def browser() -> Iterator[Any]:
    """A browser; the tests in a module share it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        args = ["--no-sandbox", "--autoplay-policy=no-user-gesture-required"]
        made = driver.chromium.launch(executable_path=CHROMIUM, args=args)
        yield made
        made.close()


@contextmanager
def opened(made: Any, address: str, **context: Any) -> Iterator[Any]:
    """A page of its own at `address`, on which nothing may go wrong unheard."""
    given = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", **context}
    with_ = made.new_context(**given)
    with_.set_default_timeout(20_000)
    page = with_.new_page()
    wrong: list[str] = []
    origin = "/".join(address.split("/")[:3]) + "/"
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("request", lambda request: _check_own(request.url, origin, wrong))
    page.goto(address)
    yield page
    with_.close()
    assert not wrong, wrong


def _check_own(url: str, origin: str, wrong: list[str]) -> None:
    if not url.startswith((origin, "blob:", "data:")):
        wrong.append(f"a request beyond the own server: {url}")


def until(page: Any, script: str) -> None:
    """Wait for a script to come out true. (Playwright's own waiting is `eval`, which is off.)"""
    end = time.monotonic() + 20
    while not page.evaluate(script):
        assert time.monotonic() < end, f"never true: {script}"
        page.wait_for_timeout(50)


def keep(page: Any, name: str) -> None:
    """A screenshot for people to look at."""
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


def check_accessible(page: Any, state: str) -> None:
    """axe-core finds nothing serious in what is shown now."""
    from axe_playwright_python.sync_playwright import Axe

    # What is still fading in has less contrast than it will have.
    until(page, "document.getAnimations().every(one => one.playState !== 'running')")
    found = Axe().run(page).response["violations"]
    serious = [
        f"{one['id']}: {one['help']}: {[node['target'] for node in one['nodes'][:3]]}"
        for one in found
        if one["impact"] in ("serious", "critical")
    ]
    assert not serious, f"{state}: {serious}"
