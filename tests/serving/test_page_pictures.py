"""Pictures, copies and what the index has lost, over HTTP and on the page."""

from __future__ import annotations

import io
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from browsing import browser, check_accessible, keep, needs_chromium, opened
from index_material import COLOURS, ColourRetriever
from serving_material import colour_index, listening
from tempme.index import Index
from tempme.serving.settings import ServeSettings

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from starlette.testclient import TestClient

from tempme.serving.app import create_app


@pytest.fixture(scope="module")
def pictured(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """The small index with a transparent picture, one that is turned, and a copy of a video."""
    index, films = colour_index(tmp_path_factory.mktemp("pictured"))
    clear = Image.new("RGBA", (90, 60), (*COLOURS["red"], 255))
    clear.putpixel((0, 0), (0, 0, 0, 0))
    clear.save(films / "red.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # taken with the camera on its side
    Image.new("RGB", (80, 40), COLOURS["blue"]).save(films / "blue.jpg", exif=exif)
    shutil.copy(films / "more" / "white.mp4", films / "white again.mp4")
    index.add(films, pictures=True)
    return index


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    needs_chromium()
    with browser() as made:
        yield made


def test_a_picture_has_a_thumbnail_and_nothing_to_play(pictured: Index) -> None:
    with TestClient(create_app(pictured, ServeSettings()), base_url="http://127.0.0.1") as client:
        videos = {v["name"]: v for v in client.get("/v1/videos").json()["videos"]}
        for name, size in (("red.png", (90, 60)), ("blue.jpg", (40, 80))):
            key = videos[name]["video_id"]
            for address in (f"moments/{key}-0-0", f"videos/{key}"):
                answer = client.get(f"/v1/{address}/thumbnail", params={"width": 160})
                assert answer.status_code == 200, answer.text
                assert Image.open(io.BytesIO(answer.content)).size == size
            for address in (f"moments/{key}-0-0/clip", f"videos/{key}/stream"):
                answer = client.get(f"/v1/{address}")
                assert answer.status_code == 422
                assert "is a picture" in answer.json()["detail"]


@pytest.mark.slow
def test_the_page_shows_a_picture_and_all_copies(pictured: Index, chromium: Any) -> None:
    with (
        listening(pictured, ServeSettings(port=0)) as address,
        opened(chromium, address + "/?q=red") as page,
    ):
        page.wait_for_selector(".card .sure")
        card = page.locator(".card", has_text="red.png")
        assert card.locator(".time").inner_text() == "picture"
        card.locator(".card-open").click()
        page.wait_for_selector("#player[open] .stage img")
        page.wait_for_selector("#player .facts .sure")
        assert page.locator("#player video").count() == 0
        assert not page.locator("#player .strip").is_visible()
        assert page.locator("#player").get_by_title("Download the clip").count() == 0
        check_accessible(page, "picture")
        keep(page, "picture")
        page.keyboard.press(" ")
        page.keyboard.press("d")
        page.keyboard.press("Escape")
        page.goto(address + "/?q=white")
        page.wait_for_selector(".card .same")
        card = page.locator(".card", has=page.locator(".same"))
        names = {card.locator(".name").inner_text(), card.locator(".same").inner_text()}
        assert names in (
            {"white again.mp4", "Same content: white.mp4"},
            {"white.mp4", "Same content: white again.mp4"},
        )
        card.locator(".card-open").click()
        page.wait_for_selector("#player .paths p:nth-child(2)")
        shown = page.locator("#player .paths p").all_inner_texts()
        assert {Path(path).name for path in shown} == {"white.mp4", "white again.mp4"}


@pytest.mark.slow
def test_the_library_lists_what_the_index_has_lost(chromium: Any, tmp_path: Path) -> None:
    index, films = colour_index(tmp_path)
    (index.path / "scan.npz").unlink()
    shutil.rmtree(index.path / "moments.lance")
    index = Index.open(index.path, retriever=ColourRetriever())
    settings = ServeSettings(port=0, roots=(films,))
    with (
        listening(index, settings) as address,
        opened(chromium, address + "/?view=library") as page,
    ):
        panel = page.locator(".panel:has-text('lost to damage in the index')")
        panel.wait_for()
        assert panel.locator(".path").count() == 4
        check_accessible(page, "damaged")
        keep(page, "damaged")
        panel.get_by_role("button", name="Index again").click()
        panel.wait_for(state="detached")
        assert page.locator(".figure dd").first.inner_text() == "4"
