"""The command line: `tempme VERB`.

What takes time to load is loaded within `main`, so that Ctrl-C ends the start like the work.
"""

from __future__ import annotations

import _thread
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sys import UnraisableHookArgs

INTERRUPTED = 130
AGAIN_SECONDS = 0.01


def main() -> None:
    """Run the command line: exit 0, 1 with one line on stderr, 2 for usage, 130 for Ctrl-C."""
    sys.unraisablehook = _not_lost
    code = _run()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # all is said: while it ends, Ctrl-C just ends it
    sys.exit(code)


def _run() -> int | str | None:
    try:
        from tempme.cli.verbs import run

        return run()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _not_lost(error: UnraisableHookArgs) -> None:
    """Ctrl-C in a finalizer, of which an import has many, would be printed and forgotten."""
    if error.exc_type is KeyboardInterrupt:
        _thread.start_new_thread(_interrupt_again, (_thread.get_ident(),))
    else:
        sys.__unraisablehook__(error)


def _interrupt_again(thread: int) -> None:
    time.sleep(AGAIN_SECONDS)
    signal.pthread_kill(thread, signal.SIGINT)
