"""Rust says on stderr itself that it panics, and then raises: the error alone is for a person."""

from __future__ import annotations

import contextlib
import os
import tempfile
import threading
from collections.abc import Iterator
from typing import IO, Any

STDERR = 2
PANIC = b" panicked at "
# There is one stderr for all threads.
_ONE_AT_A_TIME = threading.RLock()


def load_lancedb() -> Any:
    """The module, which takes a second to load and would warn at every new table."""
    os.environ.setdefault("LANCEDB_LOG", "error")
    import lancedb

    return lancedb


@contextlib.contextmanager
def panics_unsaid() -> Iterator[None]:
    """Nothing of a panic within reaches stderr; whatever else was written there does, at the end.

    Only for calls that are short: other threads and new processes write there meanwhile, too.
    LanceDB is loaded before: Ctrl-C while modules load is answered on stderr, at once.
    """
    load_lancedb()
    with _ONE_AT_A_TIME, contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # stderr is closed, or there is no room for what it says
            stack.enter_context(_aside())
        yield


@contextlib.contextmanager
def _aside() -> Iterator[None]:
    with tempfile.TemporaryFile(buffering=0) as held:
        real = os.dup(STDERR)
        try:
            os.dup2(held.fileno(), STDERR, inheritable=True)
            yield
        finally:
            os.dup2(real, STDERR, inheritable=True)
            os.close(real)
            _pass_on(held)


def _pass_on(held: IO[bytes]) -> None:
    held.seek(0)
    said = held.read()
    if said and PANIC not in said:
        with contextlib.suppress(OSError):
            os.write(STDERR, said)
