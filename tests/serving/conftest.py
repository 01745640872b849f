"""One small index for the tests of the service that only read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from serving_material import colour_index

pytest.importorskip("fastapi", reason="needs the extra `serve`")

from starlette.testclient import TestClient

from tempme.serving.app import create_app
from tempme.serving.settings import ServeSettings


@pytest.fixture(scope="package")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Any, Path]]:
    """A client of a service, and the folder of its videos."""
    index, films = colour_index(tmp_path_factory.mktemp("served"))
    with TestClient(create_app(index, ServeSettings()), base_url="http://127.0.0.1") as client:
        yield client, films


@pytest.fixture
def client(served: tuple[Any, Path]) -> Any:
    return served[0]


@pytest.fixture
def films(served: tuple[Any, Path]) -> Path:
    return served[1]
