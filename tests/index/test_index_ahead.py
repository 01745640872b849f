"""Work that is done in threads before it is asked for: in order, so much of it and no more."""

from __future__ import annotations

import threading

from tempme.index.building.ahead import THREADS, ahead


def test_answers_come_in_order() -> None:
    assert list(ahead(lambda n: n * n, range(50), most=3)) == [n * n for n in range(50)]
    assert list(ahead(str, [])) == []


def test_a_caller_that_stops_ends_what_has_not_begun() -> None:
    gate, begun, before = threading.Event(), list[int](), set(threading.enumerate())

    def work(n: int) -> int:
        begun.append(n)
        if n:
            gate.wait(60)
        return n

    answers = ahead(work, range(8), most=8)
    assert next(answers) == 0
    answers.close()  # type: ignore[attr-defined]
    gate.set()
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
    assert len(begun) <= 1 + THREADS
