"""The page when something is missing, failing, or under way; and the library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from browsing import browser, check_accessible, keep, needs_chromium, opened, until
from index_material import ColourRetriever, new_index, write_video
from serving_material import TOKEN, colour_index, listening, wait_for
from tempme.serving.settings import ServeSettings

needs_chromium()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as made:
        yield made


@pytest.mark.slow
def test_an_empty_index_says_what_to_do_and_fills_by_the_page(
    chromium: Any, tmp_path: Path
) -> None:
    films = tmp_path / "films"
    films.mkdir()
    write_video(films / "red.mp4", ["red"])
    (films / "bad.mp4").write_bytes(b"\0" * 100)
    settings = ServeSettings(port=0, roots=(films,))
    with (
        listening(new_index(tmp_path, ColourRetriever()), settings) as address,
        opened(chromium, address + "/") as page,
    ):
        page.wait_for_selector("text=No videos yet")
        check_accessible(page, "empty")
        keep(page, "empty")
        page.get_by_role("button", name="Add a folder").click()
        page.wait_for_selector(".figures")
        page.fill("#folder", str(tmp_path))
        page.get_by_role("button", name="Index it").click()
        page.wait_for_selector(".error-text:has-text('may not be indexed')")
        page.fill("#folder", str(films))
        page.get_by_role("button", name="Index it").click()
        page.wait_for_selector(".files .path")
        assert page.locator(".figure dd").first.inner_text() == "1"
        assert "bad.mp4" in page.locator(".files .path").inner_text()
        assert "zeros" in page.locator(".files .reason").inner_text()
        check_accessible(page, "library")
        keep(page, "library")
        write_video(films / "bad.mp4", ["green"])
        page.locator(".panel-head").get_by_role("button", name="Try again").click()
        until(page, "document.querySelector('.figure dd').innerText === '2'")
        page.goto(address + "/?q=green")
        page.wait_for_selector(".card .name:has-text('bad.mp4')")


@pytest.mark.slow
def test_what_a_watched_folder_gets_is_found(chromium: Any, tmp_path: Path) -> None:
    index, films = colour_index(tmp_path)
    settings = ServeSettings(port=0, roots=(films,), watch=True)
    with listening(index, settings) as address, opened(chromium, address + "/") as page:
        write_video(tmp_path / "black.mp4", ["black"])
        (tmp_path / "black.mp4").replace(films / "black.mp4")

        def found() -> bool:
            page.goto(address + "/?q=black")
            page.wait_for_selector(".card .sure")
            return bool(page.locator(".card .name").first.inner_text() == "black.mp4")

        wait_for(found, seconds=60)


@pytest.mark.slow
def test_a_service_that_fails_or_ends_says_so(chromium: Any, tmp_path: Path) -> None:
    index, _ = colour_index(tmp_path)
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?q=zebra") as page,
    ):
        page.wait_for_selector(".state.error")
        assert "no usable feature" in page.locator(".state.error").inner_text()
        page.get_by_role("button", name="Change the search").click()
        assert page.evaluate("document.activeElement.id") == "query"
        check_accessible(page, "error")
        keep(page, "error")
        page.goto(f"{address}/?q=red&folder=%2Fnowhere")
        page.wait_for_selector("text=Nothing passes these filters")
        check_accessible(page, "no hits")
        page.get_by_role("button", name="Clear filters").last.click()
        page.wait_for_selector(".card .sure")
        page.goto(f"{address}/?part=u1:0123")
        page.wait_for_selector(".state.error:has-text('no longer kept')")
        page.goto(f"{address}/?q=red")
        page.wait_for_selector(".card .sure")
        page.route("**/v1/search", lambda route: route.abort())
        page.fill("#query", "green")
        page.press("#query", "Enter")
        page.wait_for_selector(".state.error:has-text('does not answer')")
        page.unroute("**/v1/search")
        page.get_by_role("button", name="Try again").click()
        page.wait_for_selector(".card .sure")


@pytest.mark.slow
def test_doubtful_hits_come_with_a_warning(chromium: Any, tmp_path: Path) -> None:
    index, _ = colour_index(tmp_path)
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?q=black") as page,
    ):
        page.wait_for_selector(".banner:has-text('Nothing matches well')")
        assert page.locator(".card .sure.none").count() == 4
        check_accessible(page, "nothing matches well")
        keep(page, "nothing-matches")


@pytest.mark.slow
def test_a_token_is_asked_for_and_kept(chromium: Any, tmp_path: Path) -> None:
    index, _ = colour_index(tmp_path)
    settings = ServeSettings(port=0, token=TOKEN)
    with listening(index, settings) as address, opened(chromium, address + "/?q=red") as page:
        page.wait_for_selector("#signin[open]")
        check_accessible(page, "sign in")
        page.fill("#token", "wrong")
        page.keyboard.press("Enter")
        page.wait_for_selector("#signin .error-text:has-text('not the token')")
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        page.wait_for_selector(".card .sure")
        assert TOKEN not in page.url
        until(page, "[...document.images].filter(i => i.complete && i.naturalWidth).length > 2")


@pytest.mark.slow
def test_two_browsers_share_a_service(chromium: Any, tmp_path: Path) -> None:
    index, films = colour_index(tmp_path)
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?view=library") as one,
        opened(chromium, address + "/?view=library") as two,
    ):
        for page in (one, two):
            page.wait_for_selector(".figures")
        write_video(films / "black.mp4", ["black"])
        for page in (one, two):
            page.get_by_role("button", name="Look for changes").first.click()
        for page in (one, two):
            until(page, "document.querySelector('.figure dd').innerText === '5'")


@pytest.mark.slow
def test_the_page_of_the_interface_lists_every_address(chromium: Any, tmp_path: Path) -> None:
    index = new_index(tmp_path, ColourRetriever())
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/docs") as page,
    ):
        page.wait_for_selector(".operation")
        assert page.locator(".operation code", has_text="/v1/search").count() == 1
        page.locator("summary", has_text="/v1/search").click()
        page.wait_for_selector("pre:has-text('curl')")
        check_accessible(page, "docs")
        keep(page, "docs")


@pytest.mark.slow
@pytest.mark.parametrize("width", [360, 700, 1000])
def test_nothing_is_cut_off_at_any_width(chromium: Any, tmp_path: Path, width: int) -> None:
    index, _ = colour_index(tmp_path)
    size = {"width": width, "height": 700}
    with (
        listening(index, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?q=red", viewport=size) as page,
    ):
        page.wait_for_selector(".card .sure")
        assert page.locator(".brand").bounding_box()["height"] < 50  # its name on one line
        assert page.evaluate("document.documentElement.scrollWidth") <= width
