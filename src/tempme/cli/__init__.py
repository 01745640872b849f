"""The command line: `tempme VERB`.

What takes time to load is loaded within `main`, so that Ctrl-C ends the start like the work.
"""

from __future__ import annotations

import _thread
import os
import signal
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from signal import _HANDLER
    from sys import UnraisableHookArgs
    from types import FrameType

INTERRUPTED = 130
AGAIN_SECONDS = 0.01
OF_IMPORTS = "<frozen importlib._bootstrap>"


def main() -> None:
    """Run the command line: exit 0, 1 with one line on stderr, 2 for usage, 130 for Ctrl-C."""
    _stand_in_for_closed()
    sys.unraisablehook = _not_lost
    _at_ctrl_c(_interrupt)
    code = _run()
    _at_ctrl_c(signal.SIG_DFL)  # all is said: what still runs just ends
    sys.exit(code)


def _stand_in_for_closed() -> None:
    """Open nothing in the place of closed standard streams.

    Otherwise the next file that opens would be stderr to every library that writes there, and
    Python would print messages among the answers on stdout.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115


def _run() -> int | str | None:
    try:
        from tempme.cli.verbs import run

        return run()
    except KeyboardInterrupt:
        _at_ctrl_c(signal.SIG_DFL)
        print("stopped", file=sys.stderr)
        return INTERRUPTED


def _at_ctrl_c(handler: _HANDLER) -> None:
    if signal.getsignal(signal.SIGINT) != signal.SIG_IGN:  # as in the background of a script
        signal.signal(signal.SIGINT, handler)


def _interrupt(_: int, frame: FrameType | None) -> None:
    """End at once where modules load: C++ in them takes an exception for the end of the world."""
    while frame is not None:
        if frame.f_code.co_filename == OF_IMPORTS:
            os.write(2, b"stopped\n")
            os._exit(INTERRUPTED)
        frame = frame.f_back
    raise KeyboardInterrupt


def _not_lost(error: UnraisableHookArgs) -> None:
    """Ctrl-C within a finalizer would be printed and forgotten: try again in a moment."""
    if error.exc_type is KeyboardInterrupt:
        _thread.start_new_thread(_interrupt_again, (_thread.get_ident(),))
    else:
        sys.__unraisablehook__(error)


def _interrupt_again(thread: int) -> None:
    time.sleep(AGAIN_SECONDS)
    signal.pthread_kill(thread, signal.SIGINT)
