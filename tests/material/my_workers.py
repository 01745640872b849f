"""The worker processes that a test has started."""

from __future__ import annotations

import os
from pathlib import Path


def is_my_worker(process: Path) -> bool:
    try:
        parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
        program = (process / "cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return False
    return parent == os.getpid() and b"processes.program" in program


def my_workers() -> set[Path]:
    """Of this process, as folders of /proc."""
    return {path for path in Path("/proc").iterdir() if is_my_worker(path)}
