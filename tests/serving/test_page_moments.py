"""The page with many hits, and with a video in which the same is to be seen twice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import browser, check_accessible, keep, needs_chromium, opened, until
from index_material import ColourRetriever, new_index, write_video
from serving_material import index_with_two_moments, listening, wait_for
from tempme.serving.settings import ServeSettings

needs_chromium()

VIDEOS = 61


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as made:
        yield made


def time_of(page: Any) -> float:
    return float(page.locator("#player video").evaluate("v => v.currentTime"))


@pytest.mark.slow
def test_two_moments_of_a_video_are_two_marks_to_jump_to(chromium: Any, tmp_path: Path) -> None:
    index = index_with_two_moments(tmp_path)
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?q=red") as page,
    ):
        page.wait_for_selector(".card .sure")
        card = page.locator(".card", has_text="twice.mp4")
        assert page.locator(".card", has_text="always.mp4").locator(".time-pill").count() == 0
        card.locator(".time-pill").click()  # the other moment
        page.wait_for_selector("#player[open] .marks b")
        lefts = page.locator(".marks b").evaluate_all(
            "all => all.map(b => parseFloat(b.style.left))"
        )
        assert len(lefts) == 2
        assert min(lefts) < 25 < 50 <= max(lefts) < 75
        assert page.locator(".best-moment").count() == 2
        keep(page, "player-two-moments")
        check_accessible(page, "player with two moments")
        strip = page.locator(".strip").bounding_box()
        for share in (max(lefts) / 100, min(lefts) / 100):
            page.mouse.click(strip["x"] + strip["width"] * share, strip["y"] + strip["height"] / 2)
            wait_for(lambda wanted=48 * share: abs(time_of(page) - wanted) < 6)
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Moments", exact=True).click()
        until(page, "document.querySelectorAll('.card').length >= 3")
        until(page, "[...document.querySelectorAll('.shot img')].every(i => i.naturalWidth)")
        page.locator(".card", has_text="twice.mp4").nth(1).locator(".card-open").click()
        page.wait_for_selector("#player[open] .facts .sure")


@pytest.mark.slow
def test_hits_go_on_as_far_as_one_scrolls(chromium: Any, tmp_path: Path) -> None:
    films = tmp_path / "films"
    films.mkdir()
    for number in range(VIDEOS):
        write_video(films / f"{number}.mp4", ["red"], seconds=1 + number / 4)
    index = new_index(tmp_path, ColourRetriever())
    index.add(films)
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?q=red") as page,
    ):
        page.wait_for_selector(".card .sure")
        first = page.locator(".card").count()
        assert first < VIDEOS

        def is_all() -> bool:
            page.mouse.wheel(0, 3000)
            return bool(page.locator(".card").count() == VIDEOS)

        wait_for(is_all)
        page.wait_for_selector("text=That is all.")
        names = page.locator(".card .name").all_inner_texts()
        assert len(set(names)) == VIDEOS
        page.goto(address)
        page.get_by_role("button", name="Show more").click()
        until(page, f"document.querySelectorAll('.card').length === {VIDEOS}")
