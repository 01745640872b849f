"""An S3 server and Milvus servers on this machine: for tests, and for `make demo-scale`."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

ROOT = Path(__file__).parents[1]
MOTO = ROOT / ".venv-s3" / "bin" / "moto_server"
# Milvus itself: python3.11 -m venv .venv-milvus; .venv-milvus/bin/pip install milvus
MILVUS = ROOT / ".venv-milvus" / "bin" / "python"
START_SECONDS = 180
BUCKET = "films"


# A real store looks whether an object is there and puts it in one step; moto looks, and then puts,
# in a thread for each request, so that of two conditional puts both may succeed. Here a request is
# answered once it is there as a whole, and alone.
S3 = r"""
import io, sys, threading
from moto.server import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
answer, alone = DomainDispatcherApplication(create_backend_app), threading.Lock()
def one_at_a_time(environ, start):
    if length := int(environ.get("CONTENT_LENGTH") or 0):
        environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length))
    with alone:
        return [b"".join(answer(environ, start))]
port = int(sys.argv[1])
run_simple("127.0.0.1", port, one_at_a_time, threaded=True, request_handler=MotoRequestHandler)
"""


@contextmanager
def s3_server(log: Path | None = None) -> Iterator[dict[str, str]]:
    """The variables that name the server and its keys; it has the bucket `films`.

    A line for each request goes into `log`.
    """
    port = free_port()
    told = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "the secret of the store",
        "AWS_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    with running([MOTO.with_name("python"), "-c", S3, port], port, log=log):
        from pyarrow import fs

        made = fs.S3FileSystem(
            access_key=told["AWS_ACCESS_KEY_ID"],
            secret_key=told["AWS_SECRET_ACCESS_KEY"],
            region=told["AWS_REGION"],
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


# The package unpacks its binary, once, and writes what the server reads at its start: with ports of
# its own for each part, as several may run.
STANDALONE = r"""
import os, socket, sys
from milvus import MilvusServerConfig, _initialize_data_files
home, folder, port, metrics, *settings = sys.argv[1:]
_initialize_data_files(home)
config = MilvusServerConfig()
names = ["peer", *(name for name in config.configurable_items if name.endswith("_port"))]
tried = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
ports = {name: one.getsockname()[1] for name, one in tried.items()} | {"proxy_port": int(port)}
for one in tried.values():
    one.close()
etcd = folder + "/etcd.yaml"
peer, client = (f"http://127.0.0.1:{ports[name]}" for name in ("peer", "etcd_port"))
with open(etcd, "w") as file:
    file.write(f"name: one\ninitial-cluster: one={peer}\n")
    file.write(f"listen-peer-urls: {peer}\ninitial-advertise-peer-urls: {peer}\n")
    file.write(f"listen-client-urls: {client}\nadvertise-client-urls: {client}\n")
config.update(data_dir=folder, **{name: at for name, at in ports.items() if name != "peer"})
for setting in settings:
    name, _, value = setting.partition("=")
    config.set(name, config.get_value(value, config.get_type(name)))
# Without this, the port of one that was killed is refused while connections to it linger.
config.try_bind_port = lambda port: socket.create_server(("127.0.0.1", port))
config.resolve()
os.chdir(folder)
binary = os.path.join(home, "bin", "milvus")
told = {"DEPLOY_MODE": "STANDALONE", "METRICS_PORT": metrics, "MILVUSCONF": folder + "/configs",
        "MILVUS_RUN_DIR": folder + "/run", "LD_LIBRARY_PATH": os.path.dirname(binary),
        "ETCD_CONFIG_PATH": etcd}
os.execve(binary, [binary, "run", "standalone"], {**os.environ, **told})
"""


@contextmanager
def milvus_standalone(
    folder: Path, *settings: str, port: int | None = None
) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """The address and the process of a Milvus that is ready, with its data in a folder.

    `settings` are of its package, such as `authorization_enabled=true` and `tls_mode=1`. With the
    port that it had, one that was killed is there again.
    """
    port, metrics = port or free_port(), free_port()
    folder.mkdir(parents=True, exist_ok=True)
    words = [MILVUS, "-c", STANDALONE, MILVUS.parents[1] / "milvus", folder, port, metrics]
    with started([*words, *settings], log=folder / "said.txt") as process:
        wait_for(process, port)
        wait_until_healthy(process, metrics)
        yield f"127.0.0.1:{port}", process


@contextmanager
def running(words: Sequence[object], port: int, *, log: Path | None = None) -> Iterator[None]:
    """A process that listens at a port; what it says goes into `log`."""
    with started(words, log=log) as process:
        wait_for(process, port)
        yield


@contextmanager
def started(
    words: Sequence[object], *, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is killed at the end; what it says goes into `log`."""
    with warnings.catch_warnings(), Path(log or os.devnull).open("wb") as said:
        warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
        process = subprocess.Popen(list(map(str, words)), stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        return int(tried.getsockname()[1])


def descendants(pid: int) -> dict[int, str]:
    """The processes that a process started, and those started by them, with their command lines."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(stat.parent.name)] = int(
                stat.read_text("latin-1").rpartition(")")[2].split()[1]
            )
        except (OSError, IndexError):
            continue
    found: dict[int, str] = {}
    pending = [pid]
    while pending:
        parent = pending.pop()
        for child in (one for one, above in parents.items() if above == parent):
            pending.append(child)
            try:
                told = Path(f"/proc/{child}/cmdline").read_bytes()
            except OSError:
                continue
            found[child] = told.replace(b"\0", b" ").decode("utf-8", "replace")
    return found


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not asked for yet does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text("latin-1")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def environment(told: dict[str, str]) -> dict[str, str]:
    """The variables of this process and these, for a process of its own."""
    return {**os.environ, **told, "PYTHONPATH": os.pathsep.join(sys.path)}


def wait_for(process: subprocess.Popen[bytes], port: int) -> None:
    """Until a process listens at a port; SystemExit if it ends, or takes too long."""

    def listens() -> bool:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True

    _wait(process, listens, f"nobody listens at {port}")


def wait_until_healthy(process: subprocess.Popen[bytes], port: int) -> None:
    """Until a Milvus is ready; SystemExit if it ends, or takes too long."""

    def is_healthy() -> bool:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as told:
            return b"OK" in told.read()

    _wait(process, is_healthy, "the server is not ready")


def _wait(process: subprocess.Popen[bytes], is_ready: Callable[[], bool], otherwise: str) -> None:
    """Until `is_ready`, which may meet an OSError before; SystemExit tells why it never was."""
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        if process.poll() is not None:
            raise SystemExit(f"the server ended with {process.returncode}")
        with suppress(OSError):
            if is_ready():
                return
        time.sleep(0.1)
    raise SystemExit(f"{otherwise} after {START_SECONDS} s")
