"""README's picture of the page: a search on the index that `make demo` makes, in Chromium."""

from __future__ import annotations

import shutil
import threading
import time
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from playwright.sync_api import ViewportSize, sync_playwright

from tempme.index import Index
from tempme.serving.running import server_of
from tempme.serving.settings import ServeSettings

INDEX, PICTURE = Path("demo/demo.tempme"), Path("assets/page.png")
QUERY = "a small pink triangle to the left of a large dotted cyan heart on a checkered background"
SIZE = ViewportSize(width=1200, height=720)


def main() -> None:
    """Write assets/page.png."""
    server = server_of(Index.open(INDEX), ServeSettings(port=0))
    threading.Thread(target=server.run, daemon=True).start()
    while not server.started:
        time.sleep(0.05)
    _wait_until_ready(server.address)
    with sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="dark")
        page.set_default_timeout(120_000)
        page.goto(server.address)
        page.fill("#query", QUERY)
        page.press("#query", "Enter")
        page.wait_for_selector(".card .sure")
        page.reload()  # the time that it shows is that of a search, not of a first one
        page.wait_for_selector(".card .sure")
        page.wait_for_load_state("networkidle")
        page.screenshot(path=PICTURE)
        browser.close()
    server.should_exit = True


def _wait_until_ready(address: str) -> None:
    """The first search should be as quick as any that follows."""
    while True:
        try:
            urlopen(f"{address}/v1/ready").close()
            return
        except HTTPError:  # 503: the model is being loaded
            time.sleep(0.5)


if __name__ == "__main__":
    main()
