"""What holds in every test: the same random numbers, no way out to the network, Ctrl-C is heard."""

from __future__ import annotations

import gc
import ipaddress
import os
import signal
import socket
import zlib
from collections.abc import Generator
from typing import Any

import pytest

# Tests run side by side, one process per core: threads of each would only wait for those of others.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what runs in the background deaf to Ctrl-C, and so would be the commands we start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Libraries and thousands of tests are a million objects that stay to the end. Looking through them
# again and again for garbage is a tenth of a run: that waits until the tests are known, leaves out
# what there is by then, and comes less often.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.hookimpl(tryfirst=True)  # before `-m "not slow"` chooses
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Of the cases of a test marked `one_in(n)` all but each n-th, drawn by name, are slow."""
    for item in items:
        sampled = item.get_closest_marker("one_in")
        if (
            sampled
            and hasattr(item, "callspec")
            and zlib.crc32(item.nodeid.encode()) % sampled.args[0]
        ):
            item.add_marker("slow")


@pytest.fixture(autouse=True, scope="module")
def _what_stays_is_no_garbage() -> None:
    """What the tests of other files have imported and kept: models that are loaded look for all
    garbage, hundreds of times in a run."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def _seed() -> None:
    import numpy as np
    import torch

    # torch.manual_seed notes the stack for every kind of accelerator: a millisecond each time
    torch.default_generator.manual_seed(0)
    np.random.seed(0)  # libraries still draw from it


@pytest.fixture(autouse=True)
def _ctrl_c_is_heard() -> None:
    """Whatever the test before did: the command line, called in this process, ends deaf to it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def three_threads() -> Generator[None]:
    """PyTorch takes three threads, until the test ends."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def _no_kept_engines(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """What a person keeps of engines changes no test; what a test makes serves all of its run."""
    monkeypatch.setenv("TEMPME_CACHE", str(tmp_path_factory.getbasetemp() / "cache"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave this machine in no test; servers of tests listen on the loopback."""

    def guarded(connect: Any) -> Any:
        def only_here(self: socket.socket, address: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(address[0]):
                raise OSError(f"tests stay on this machine, and this one connects to {address}")
            return connect(self, address)

        return only_here

    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, guarded(getattr(socket.socket, name)))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
