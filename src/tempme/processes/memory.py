"""How much memory this process holds, and its end when that is too much."""

from __future__ import annotations

import ctypes
import gc
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from threading import Thread

STATM = Path("/proc/self/statm")
OOM_SCORE = Path("/proc/self/oom_score_adj")
# Often enough that a process cannot take much more than its limit before it is noticed: memory is
# filled at some gigabytes a second. A look takes about 20 microseconds.
LOOK_SECONDS = 0.05
# The exit status of a process that ended itself because it held too much memory.
OVER_MEMORY = 86


def resident_bytes() -> int | None:
    """What this process holds of the machine's memory, shared libraries included.

    Its peak where the system does not tell the present amount (macOS), None where it tells
    neither (Windows).
    """
    try:
        return int(STATM.read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return _peak_bytes()


def give_back() -> None:
    """Give memory that nothing needs any more back to the system, where the C library can.

    Large values leave holes that the C library keeps for later ones, hundreds of megabytes after
    the weights of a model were turned into others.
    """
    gc.collect()
    with suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)


def _peak_bytes() -> int | None:
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


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
