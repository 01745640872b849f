"""docs/http.md is what the service says of itself."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from documents import http

DOCS = Path(__file__).parents[2] / "docs"


def test_the_interface_is_up_to_date() -> None:
    assert (DOCS / "http.md").read_text("utf-8") == http.document(), "run `make docs`"


def test_every_operation_says_what_it_does() -> None:
    api = http.openapi()
    assert api["openapi"].startswith("3.1")
    for path, operations in api["paths"].items():
        for method, about in operations.items():
            assert about.get("description"), (method, path)
            assert any(status.startswith("2") for status in about["responses"])
