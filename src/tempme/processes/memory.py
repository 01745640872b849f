"""How much memory this process holds, and its end when that is too much."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

STATM, STATUS = Path("/proc/self/statm"), Path("/proc/self/status")
OOM_SCORE = Path("/proc/self/oom_score_adj")
# Often enough that a process cannot take much more than its limit before it is noticed: memory is
# filled at some gigabytes a second. A look takes about 20 microseconds.
LOOK_SECONDS = 0.05
# The exit status of a process that ended itself because it held too much memory.
OVER_MEMORY = 86
# From <malloc.h>. glibc begins with the first size and, as blocks are freed, ends with the second.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
APART_BYTES, REUSED_BYTES = 128 << 10, 32 << 20


def resident_bytes() -> int | None:
    """What this process holds of the machine's memory, shared libraries included.

    Its peak where the system does not tell the present amount (macOS), None where it tells
    neither (Windows).
    """
    try:
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return peak_bytes()


def peak_bytes() -> int | None:
    """The most that this process has held; None where the system does not tell (Windows).

    Linux hands what getrusage says on to a new program: at its start it is what the process held
    that started it, and only grows.
    """
    with suppress(OSError, ValueError, IndexError):
        return int(STATUS.read_text("ascii", "replace").split("VmHWM:")[1].split()[0]) * 1024
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@contextmanager
def large_blocks_apart() -> Iterator[None]:
    """Meanwhile memory of large values goes back to the system as soon as they are let go.

    Where a model is read a tensor at a time, and each is packed, the C library else keeps as many
    holes as it has weights. Before and after, blocks are reused, which the work of a model needs.
    """
    _set_blocks(APART_BYTES)
    try:
        yield
    finally:
        _set_blocks(REUSED_BYTES)


def _set_blocks(apart_from: int) -> None:
    """From which size on glibc maps a block of its own; other C libraries decide for themselves."""
    with suppress(OSError, AttributeError):
        library = ctypes.CDLL(None)
        _ = library.gnu_get_libc_version  # AttributeError where it is not glibc
        library.mallopt(M_MMAP_THRESHOLD, apart_from)
        library.mallopt(M_TRIM_THRESHOLD, 2 * apart_from)


def give_back() -> None:
    """Give memory that nothing needs any more back to the system, where the C library can.

    Large values leave holes that the C library keeps for later ones, hundreds of megabytes after
    the weights of a model were turned into others.
    """
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def end_above(limit_bytes: int) -> None:
    """Have a thread end this process, with status `OVER_MEMORY`, once it holds more than this."""
    if resident_bytes() is not None:
        Thread(target=_watch, args=(limit_bytes,), daemon=True).start()


def _watch(limit_bytes: int) -> None:
    while (resident_bytes() or 0) <= limit_bytes:
        time.sleep(LOOK_SECONDS)
    os._exit(OVER_MEMORY)


def end_before_others() -> None:
    """When memory runs out, let Linux choose this process rather than the one that started it."""
    with suppress(OSError):
        if int(OOM_SCORE.read_bytes()) < 500:
            OOM_SCORE.write_bytes(b"500")
