"""The bar that verbs share: seen in a terminal, silent in a log."""

from __future__ import annotations

import re

import pytest

from tempme.cli.progress import counting


@pytest.mark.parametrize("is_live", [True, False])
def test_what_is_counted_is_shown_to_whoever_watches(
    is_live: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    if is_live:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("TERM", "xterm")
    with counting("films [/b]") as count:
        count(1, 4)
    shown = capsys.readouterr()
    assert shown.out == ""
    seen = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown.err)  # without colours
    assert ("films [/b]" in seen and "25%" in seen) == is_live
    assert is_live or not shown.err.strip()
