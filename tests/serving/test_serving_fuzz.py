"""Requests drawn from the OpenAPI document: all get an answer, none a server error."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[2] / "tools" / "fuzz_service.py"


@pytest.mark.slow
def test_a_few_drawn_requests_of_every_kind_are_answered(tmp_path: Path) -> None:
    pytest.importorskip("schemathesis", reason="needs the extra `dev`")
    done = subprocess.run(
        [sys.executable, str(TOOL), "--cases", "4", "--seed", "1", "--timeout", "120"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,  # schemathesis keeps its own files where it runs
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (count,) = re.findall(r"([\d,]+) requests answered, 0 of them", done.stdout)
    assert int(count.replace(",", "")) > 500
