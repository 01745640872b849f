"""The page as a person uses it, in Chromium: search, look, play, go on from what was found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from browsing import browser, check_accessible, keep, needs_chromium, opened, until
from index_material import write_video
from serving_material import colour_index, listening, wait_for
from tempme.serving.settings import ServeSettings

needs_chromium()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with browser() as made:
        yield made


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    index, _ = colour_index(tmp_path_factory.mktemp("page"))
    with listening(index, ServeSettings(port=0)) as found:
        yield found


@pytest.fixture
def page(chromium: Any, address: str) -> Iterator[Any]:
    with opened(chromium, address + "/") as made:
        yield made


def search(page: Any, words: str) -> None:
    page.fill("#query", words)
    page.press("#query", "Enter")
    page.wait_for_selector(".summary:not(:has-text('Searching'))")


def names(page: Any) -> list[str]:
    found: list[str] = page.locator(".card .name").all_inner_texts()
    return found


def asked(page: Any) -> dict[str, list[str]]:
    return parse_qs(urlsplit(page.url).query)


@pytest.mark.slow
def test_the_start_shows_what_is_there(page: Any) -> None:
    page.wait_for_selector(".card")
    assert len(names(page)) == 4
    assert page.locator("h1").inner_text() == "What do you remember?"
    keep(page, "start")
    check_accessible(page, "start")
    page.locator(".card-open").first.click()
    page.wait_for_selector("#player[open] video")


@pytest.mark.slow
def test_words_find_moments_and_are_in_the_address(page: Any) -> None:
    search(page, "something green")
    assert names(page)[0] == "green blue.mp4"
    assert asked(page)["q"] == ["something green"]
    check_accessible(page, "hits")
    keep(page, "hits")
    url = page.url
    page.goto(url.split("?")[0])
    page.goto(url)
    page.wait_for_selector(".card .sure")
    assert page.input_value("#query") == "something green"
    search(page, "red")
    page.go_back()
    until(page, "document.querySelector('#query').value === 'something green'")


@pytest.mark.slow
def test_a_picture_plays_without_sound_while_it_is_pointed_at(page: Any) -> None:
    search(page, "blue")
    page.locator(".card-open").first.hover()
    video = page.locator(".shot.playing video").first
    video.wait_for()
    assert video.evaluate("v => [v.muted, v.loop, v.paused]") == [True, True, False]
    page.mouse.move(5, 5)
    page.wait_for_selector(".shot video", state="detached")


@pytest.mark.slow
def test_a_click_plays_at_the_moment_and_the_strip_jumps(page: Any) -> None:
    search(page, "blue")
    page.locator(".card-open").first.click()
    page.wait_for_selector(".heat i")
    wait_for(lambda: page.locator("#player video").evaluate("v => v.currentTime") >= 5)
    assert "open" in asked(page)
    check_accessible(page, "player")
    keep(page, "player")
    heights = page.locator(".heat i").evaluate_all("all => all.map(i => i.offsetHeight)")
    assert max(heights[100:]) > 2 * max(heights[:40])  # blue is in the second half
    box = page.locator(".strip").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.1, box["y"] + box["height"] / 2)
    wait_for(lambda: 0.8 < page.locator("#player video").evaluate("v => v.currentTime") < 4)
    mark = page.locator(".marks b").bounding_box()
    page.mouse.click(mark["x"] + mark["width"] / 2, box["y"] + box["height"] / 2)
    wait_for(lambda: page.locator("#player video").evaluate("v => v.currentTime") >= 4.5)
    page.keyboard.press("Escape")
    until(page, "!location.search.includes('open=')")
    assert not page.evaluate("document.getElementById('player').open")


@pytest.mark.slow
def test_more_and_less_like_this(page: Any) -> None:
    search(page, "white")
    first = page.locator(".card").first
    first.hover()
    first.get_by_label("More like this").click()
    page.wait_for_selector(".part img")
    assert len(asked(page)["part"]) == 1
    page.wait_for_selector(".card .sure")
    assert names(page)[0] == "white.mp4"
    second = page.locator(".card").nth(1)
    second.hover()
    second.get_by_label("Less like this").click()
    page.wait_for_selector(".part.less")
    check_accessible(page, "parts")
    page.get_by_label(re.compile("^Remove: Less")).click()
    page.wait_for_selector(".part.less", state="detached")


@pytest.mark.slow
def test_a_dropped_picture_is_searched_by(page: Any, tmp_path: Path) -> None:
    Image.new("RGB", (64, 48), (230, 220, 30)).save(tmp_path / "yellow.png")
    content = list((tmp_path / "yellow.png").read_bytes())
    page.evaluate(
        """content => {
        const data = new DataTransfer();
        data.items.add(new File([new Uint8Array(content)], "yellow.png", {type: "image/png"}));
        const given = {dataTransfer: data, bubbles: true, cancelable: true};
        for (const name of ["dragenter", "dragover", "drop"])
          window.dispatchEvent(new DragEvent(name, given));
        }""",
        content,
    )
    page.wait_for_selector(".part .i-image")
    assert names(page)[0].startswith("yellow")
    page.reload()  # the address names the upload
    page.wait_for_selector(".card .sure")
    assert names(page)[0].startswith("yellow")
    clip = write_video(tmp_path / "white.mp4", ["white"])
    page.set_input_files("#file", clip)
    until(page, "document.querySelector('.card .name')?.innerText === 'white.mp4'")


@pytest.mark.slow
def test_filters_have_counts_and_groups_change(page: Any) -> None:
    search(page, "red")
    length = page.get_by_label("Length")
    length.wait_for()
    options = length.locator("option").all_inner_texts()
    assert options == ["Length: any", "under 10 s (3)", "10 s to 1 min (1)"]
    length.select_option(index=2)
    until(page, "document.querySelectorAll('.card .sure').length === 1")
    page.get_by_text("Clear filters").click()
    until(page, "document.querySelectorAll('.card .sure').length === 4")
    page.get_by_role("button", name="Moments", exact=True).click()
    until(page, "document.querySelectorAll('.card .sure').length === 4")
    assert asked(page)["group"] == ["moment"]


@pytest.mark.slow
def test_recent_searches_come_back(page: Any) -> None:
    for words in ("red", "green"):
        search(page, words)
    page.fill("#query", "")
    page.focus("#query")
    page.wait_for_selector("#recent:not([hidden])")
    assert page.locator(".recent-item").all_inner_texts() == ["green", "red"]
    check_accessible(page, "recent searches")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    until(page, "new URLSearchParams(location.search).get('q') === 'green'")


@pytest.mark.slow
def test_everything_by_keyboard(page: Any) -> None:
    page.keyboard.press("/")
    page.keyboard.type("green blue")
    page.keyboard.press("Enter")
    page.wait_for_selector(".card .sure")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.closest('.card').dataset.moment")
    page.keyboard.press("Enter")
    page.wait_for_selector("#player[open] .heat i")
    assert asked(page)["open"] == [second]
    page.keyboard.press("j")
    until(page, f"!location.search.includes('{second}')")
    page.keyboard.press("k")
    until(page, f"location.search.includes('{second.split('-')[0]}')")
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.wait_for_selector("#shortcuts[open]")
    check_accessible(page, "shortcuts")
    keep(page, "shortcuts")
    page.keyboard.press("Escape")
    page.keyboard.press("l")
    page.wait_for_selector(".figures")
    page.keyboard.press("h")
    page.wait_for_selector(".hero")
    theme = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.keyboard.press("t")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != theme


@pytest.mark.slow
@pytest.mark.parametrize(
    "words", ["أحمر في الحديقة red", "红色的圆 red", "ein rötlicher Kreis red"]
)
def test_queries_in_every_script(page: Any, words: str) -> None:
    search(page, words)
    assert names(page)[0] == "red.mp4"
    assert asked(page)["q"] == [words]
    expected = "rtl" if words[0] == "أ" else "ltr"
    assert page.locator("#query").evaluate("e => getComputedStyle(e).direction") == expected


@pytest.mark.slow
def test_a_phone_and_both_themes(chromium: Any, address: str) -> None:
    phone = {"width": 390, "height": 844}
    for scheme in ("dark", "light"):
        given = {"viewport": phone, "color_scheme": scheme, "has_touch": True}
        with opened(chromium, f"{address}/?q=green", **given) as page:
            page.wait_for_selector(".card .sure")
            keep(page, f"phone-{scheme}")
            check_accessible(page, f"phone, {scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390
            page.locator(".card-open").first.tap()
            page.wait_for_selector(".heat i")
            check_accessible(page, f"player on a phone, {scheme}")
            keep(page, f"phone-player-{scheme}")
            page.goto(f"{address}/?view=library")
            page.wait_for_selector(".figures")
            check_accessible(page, f"library on a phone, {scheme}")
            assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.slow
def test_the_clip_and_the_link(page: Any, tmp_path: Path) -> None:
    search(page, "blue")
    page.locator(".card-open").first.click()
    page.wait_for_selector(".heat i")
    with page.expect_download() as download:
        page.keyboard.press("d")
    download.value.save_as(tmp_path / "clip.mp4")
    assert download.value.suggested_filename.startswith("green blue ")
    assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"
    page.keyboard.press("p")
    page.wait_for_selector(".toast:has-text('Path copied')")
    with page.expect_popup() as other:
        page.evaluate("open(location.href)")
    other.value.wait_for_selector("#player[open] .heat i")
