"""An S3 server and a Milvus Lite server on this machine, each a process that a test starts."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MOTO = ROOT / ".venv-s3" / "bin" / "moto_server"
START_SECONDS = 180
BUCKET = "films"


def needs_s3() -> None:
    if not MOTO.exists():
        pytest.skip("no S3 server: `make setup` installs moto in .venv-s3")


def needs_milvus() -> None:
    if sys.platform == "win32" or importlib.util.find_spec("milvus_lite") is None:
        pytest.skip("no Milvus Lite: pip install 'tempme[milvus-lite]'")


def needs_ray() -> None:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("no Ray: pip install 'tempme[ray]'")


@contextmanager
def s3_server() -> Iterator[dict[str, str]]:
    """The variables that name the server and its keys; it has the bucket `films`."""
    port = free_port()
    words = [MOTO, "-H", "127.0.0.1", "-p", str(port)]
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "the secret of the store",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with running(words, port):
        from pyarrow import fs

        made = fs.S3FileSystem(
            access_key=told["AWS_ACCESS_KEY_ID"],
            secret_key=told["AWS_SECRET_ACCESS_KEY"],
            region="us-east-1",
            scheme="http",
            endpoint_override=f"127.0.0.1:{port}",
            allow_bucket_creation=True,
        )
        made.create_dir(BUCKET)
        yield told


@contextmanager
def milvus_server(folder: Path) -> Iterator[str]:
    """The address of a server with its data in a folder, such as `127.0.0.1:19530`."""
    port = free_port()
    program = "import sys; from milvus_lite.cmdline import main; sys.exit(main())"
    words = [sys.executable, "-c", program, "server", "--data-dir", folder]
    with running([*words, "--host", "127.0.0.1", "--port", str(port)], port):
        yield f"127.0.0.1:{port}"


@contextmanager
def running(words: Sequence[object], port: int) -> Iterator[None]:
    """A process that listens at a port."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
        process = subprocess.Popen(
            list(map(str, words)), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        _wait_for(process, port)
        yield
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def environment(told: dict[str, str]) -> dict[str, str]:
    """The variables of this process with those of a server, for a process of its own."""
    return {**os.environ, **told, "PYTHONPATH": os.pathsep.join(sys.path)}


def _wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        assert process.poll() is None, f"the server ended with {process.returncode}"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise AssertionError(f"nobody listens at {port} after {START_SECONDS} s")
