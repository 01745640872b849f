"""The command line as a process, with or without rights."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable, Sequence

TEMPME = (sys.executable, "-c", "import tempme.cli; tempme.cli.main()")


RIGHTS = "-dac_override,-dac_read_search"


WITHOUT_RIGHTS = ("setpriv", "--bounding-set", RIGHTS, "--inh-caps", RIGHTS)


def start(
    *words: object, way: Sequence[str] = (), before: Callable[[], None] | None = None
) -> subprocess.Popen[str]:
    # LanceDB, loaded in this process, warns of every fork with something to do before the start.
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "lancedb fork support", RuntimeWarning)
        return subprocess.Popen(
            [*way, *TEMPME, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=before,
        )


def error_of(run: subprocess.Popen[str]) -> str:
    out, err = run.communicate(timeout=600)
    assert (run.returncode, out) == (1, ""), err
    (line,) = said(err)
    assert line.startswith("error: ")
    return line


def said(err: str) -> list[str]:
    """What was said but for progress, which a slow machine logs."""
    return [line for line in err.splitlines() if line and "videos/s" not in line]
