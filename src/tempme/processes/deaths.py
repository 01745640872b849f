"""What a worker process died of, and whether that says something about its item."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from tempme.processes.limits import Limits
from tempme.processes.memory import OVER_MEMORY
from tempme.processes.process import Process, cause_of_end

# What comes from outside: the system when memory runs out, a person, a shutdown, a quota.
OUTSIDE = frozenset(
    -getattr(signal, name)
    for name in ("SIGKILL", "SIGTERM", "SIGHUP", "SIGINT", "SIGQUIT", "SIGXCPU", "SIGSTOP")
    if name in dir(signal)
)


@dataclass(frozen=True)
class Crash:
    """The answer to an item whose process died, or was ended because it hung.

    `is_transient` where the cause is the machine's at that time rather than the item's: another
    try, later, may well succeed.
    """

    reason: str = "crashed the process that read it"
    is_transient: bool = False


@dataclass(frozen=True)
class Death:
    """The end of one try, and whether the item deserves another, alone."""

    crash: Crash
    may_try_again: bool


GIVEN_UP = Death(Crash("was given up: the workers were closed", is_transient=True), False)
SHORTER = Crash("gave less when it was tried again", is_transient=True)


def death_of(process: Process, code: int, limits: Limits) -> Death:
    """Why a process ended that was at work on an item, from its exit code and what it had done."""
    if process.was_late:
        reason = f"timeout: its process hung for {limits.timeout_seconds:g} s"
        return Death(Crash(reason), may_try_again=False)
    if code == OVER_MEMORY:
        return Death(Crash(_too_large(limits)), may_try_again=process.num_done > 0)
    if code in OUTSIDE:
        return Death(Crash(_killed(code), is_transient=True), may_try_again=True)
    return Death(Crash(f"{Crash.reason} ({cause_of_end(code)})"), may_try_again=True)


def stillborn(cause: str) -> Death:
    """The process never came to its item."""
    return Death(
        Crash(f"no worker process could be started: {cause}", is_transient=True), may_try_again=True
    )


def _killed(code: int) -> str:
    return (
        f"its process was ended from outside ({cause_of_end(code)}), which a system does when"
        " memory runs out; tried alone, it was ended again"
    )


def _too_large(limits: Limits) -> str:
    return (
        f"needs more memory than a worker process may hold, {limits.worker_memory_mb:g} MB:"
        " raise worker_memory_mb to read it"
    )
