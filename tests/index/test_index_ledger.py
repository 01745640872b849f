"""Which files a run looks at, by what is known of them; and what it says in the end."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tempme.index import Counts, Report
from tempme.index.building.ledger import Ledger
from tempme.index.building.scan import File
from tempme.index.moments import Status, Video

GOOD = Video(Path("/films/a.mp4"), "d1", 10, 20)


@pytest.mark.parametrize(
    ("status", "tried_again"),
    [("ok", (False, False)), ("failed", (False, True)), ("interrupted", (True, True))],
)
def test_failures_are_tried_again_on_demand(status: Status, tried_again: tuple[bool, bool]) -> None:
    known = replace(GOOD, status=status)
    ledger, seen = Ledger([known]), File(known.path, known.size_bytes, known.mtime_ns)
    for retry_failed, again in zip((False, True), tried_again, strict=True):
        found = ledger.sort([seen], retry_failed=retry_failed)
        assert (found.pending, found.unchanged) == (((seen,), ()) if again else ((), (known,)))
        assert (ledger.content("d1", retry_failed=retry_failed) is None) == again
        assert ledger.sort([replace(seen, mtime_ns=21)], retry_failed=retry_failed).pending


def test_seconds_are_told_to_the_thousandth() -> None:
    told = Report(Counts(indexed=3), 7, 1.23456, 0.98765, 0.54321, 2.43005).as_dict()
    assert [told[name] for name in ("seconds", "decode_seconds", "encode_seconds")] == [
        1.235,
        0.988,
        0.543,
    ]
    assert told["videos_per_second"] == 2.43
    assert told["videos"]["indexed"] == 3
