"""The servers of `loopback`, for tests that are skipped where one is not installed."""

from __future__ import annotations

import importlib.util
import sys

import pytest

from loopback import MILVUS, MOTO


def needs_s3() -> None:
    if not MOTO.exists():
        pytest.skip("no S3 server: `make setup` installs moto in .venv-s3")


def needs_milvus() -> None:
    if sys.platform == "win32" or importlib.util.find_spec("milvus_lite") is None:
        pytest.skip("no Milvus Lite: pip install 'tempme[milvus-lite]'")


def needs_standalone() -> None:
    needs_client()
    if not MILVUS.exists():
        pytest.skip(
            "no Milvus: python3.11 -m venv .venv-milvus; .venv-milvus/bin/pip install milvus"
        )


def needs_client() -> None:
    if importlib.util.find_spec("pymilvus") is None:
        pytest.skip("no client of Milvus: pip install 'tempme[milvus]'")


def needs_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("no Ray: pip install 'tempme[ray]'")
