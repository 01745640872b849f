"""A task that answers in pieces: order, backpressure, signs of life, ends of every kind."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pool_tasks import Order, blank, busy, pieces
from tempme.errors import BadSetting
from tempme.processes.pool import Crash, Limits, Workers, each_in_processes, pieces_in_processes


def told(*orders: Order, workers: int = 2, **limits: Any) -> dict[str, list[int | Crash]]:
    """The numbers of the pieces of every item, in the order they came."""
    found: dict[str, list[int | Crash]] = {order.name: [] for order in orders}
    limit = Limits(**limits)
    for order, piece in pieces_in_processes(pieces, orders, workers=workers, limits=limit):
        if isinstance(piece, Crash):
            found[order.name].append(piece)
        else:
            assert piece[0] == order.name
            found[order.name].append(piece[1])
    return found


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.slow
def test_pieces_come_in_order() -> None:
    numbers = {"a": 3, "b": 0, "c": 1, "d": 5, "e": 2}
    found = told(*(Order(name, num) for name, num in numbers.items()))
    assert found == {name: list(range(num)) for name, num in numbers.items()}


@pytest.mark.slow
def test_what_dies_alone_again_is_named_with_its_cause() -> None:
    found = told(
        Order("a"),
        Order("killed", what="kill", at=1),
        Order("b"),
        Order("segv", what="segv", at=0),
        Order("left", what="leave", at=2),
        Order("c"),
    )
    assert [found[name] for name in "abc"] == [[0, 1, 2]] * 3
    *before, killed = found["killed"]
    assert before == [0]
    assert isinstance(killed, Crash)
    assert killed.is_transient
    assert "ended from outside (SIGKILL)" in killed.reason
    assert found["segv"] == [Crash("crashed the process that read it (SIGSEGV)")]
    assert found["left"] == [0, 1, Crash("crashed the process that read it (exit status 3)")]


@pytest.mark.slow
@pytest.mark.parametrize("at", [0, 2])
def test_a_victim_goes_on_where_it_was(tmp_path: Path, at: int) -> None:
    log = tmp_path / "log"
    found = told(Order("a", 4, "kill once", at, log), Order("b"))
    assert found == {"a": [0, 1, 2, 3], "b": [0, 1, 2]}
    processes = {line.split()[-1] for line in log.read_text().splitlines()}
    assert len(processes) == 2


@pytest.mark.slow
def test_the_second_try_is_alone(tmp_path: Path) -> None:
    log = tmp_path / "log"
    items = [(name, log) for name in ("a", "killed", "b", "c", "d", "e", "f", "g")]
    answers = dict(each_in_processes(busy, items, workers=3))
    assert answers == {item: item[0] for item in items}
    lines = log.read_text().splitlines()
    place = lines.index("begin killed")
    assert lines[place + 1] == "end killed"
    begun = {line.split()[1] for line in lines[:place] if line.startswith("begin")}
    assert {line.split()[1] for line in lines[:place] if line.startswith("end")} == begun


@pytest.mark.slow
def test_silence_is_ended_and_signs_of_life_are_none() -> None:
    found = told(Order("hangs", what="hang", at=1), Order("slow", 1, "beat"), timeout_seconds=1.5)
    assert found == {"hangs": [0, Crash("timeout: its process hung for 1.5 s")], "slow": [0]}


@pytest.mark.slow
def test_a_slow_caller_is_no_hang_and_takes_no_memory(tmp_path: Path) -> None:
    log = tmp_path / "log"
    order = Order("a", 20, log=log, num_bytes=2**20)
    answers = pieces_in_processes(pieces, [order], workers=1, limits=Limits(timeout_seconds=1.0))
    for taken in range(1, 4):
        assert next(answers)[1][1] == taken - 1
        time.sleep(1.2)
        # Those in the caller's hand, one that waits, and one that was made after it.
        assert len(log.read_text().splitlines()) == taken + 2
    assert [piece[1] for _, piece in answers] == list(range(3, 20))


@pytest.mark.slow
def test_a_flood_of_prints_is_no_answer() -> None:
    assert told(Order("a", what="flood", at=1), Order("b")) == {"a": [0, 1, 2], "b": [0, 1, 2]}


@pytest.mark.slow
def test_errors_of_any_kind_reach_the_caller() -> None:
    for name, words in (("port", "Unportable: 3"), ("speak", "Unspeakable: <exception str")):
        with pytest.raises(RuntimeError, match=words):
            told(Order("a"), Order(name, what="refuse", at=1), workers=1)


@pytest.mark.slow
def test_huge_answers_travel_whole() -> None:
    sizes = [100_000_000, 0, 1, 70_000_000]
    for size, found in each_in_processes(blank, sizes, workers=2):
        assert isinstance(found, np.ndarray)
        assert found.nbytes == size
        assert found[:: 10**6].tolist() == [place % 256 for place in range(0, size, 10**6)]
        assert found.flags.writeable


def test_an_iterator_that_is_closed_leaves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    orders = [Order(name, 5, "hang", 4, log) for name in "abc"]
    answers = pieces_in_processes(pieces, orders, workers=2)
    for _ in range(3):
        next(answers)
    begin = time.monotonic()
    answers.close()
    assert time.monotonic() - begin < 5
    processes = {int(line.split()[-1]) for line in log.read_text().splitlines()}
    assert processes
    assert not any(map(is_running, processes))


def endless() -> Iterator[Order]:
    while True:
        yield Order("a")


def test_an_iterator_that_nobody_holds_leaves_nothing(tmp_path: Path) -> None:
    log = tmp_path / "log"
    answers = pieces_in_processes(pieces, [Order("a", 9, log=log)] * 9, workers=1)
    next(answers)
    del answers
    assert not is_running(int(log.read_text().split()[2]))


@pytest.mark.slow
def test_items_may_be_endless_and_may_fail() -> None:
    taken = []

    def items() -> Iterator[Order]:
        for order in endless():
            taken.append(order)
            if len(taken) == 4:
                raise LookupError("no more")
            yield order

    answers = pieces_in_processes(pieces, items(), workers=1)
    for _ in range(3):
        next(answers)
    assert len(taken) <= 2
    assert len(list(islice(answers, 6))) == 6
    with pytest.raises(LookupError, match="no more"):
        next(answers)


def test_a_task_that_cannot_be_found_there_is_an_error_here() -> None:
    blank.__qualname__, name = "nothing", blank.__qualname__
    try:
        with pytest.raises(Exception, match="nothing"):
            Workers(blank, workers=1)
    finally:
        blank.__qualname__ = name


@pytest.mark.parametrize(
    "wrong",
    [
        {"timeout_seconds": 0},
        {"grace_seconds": -1},
        {"worker_memory_mb": 100},
        {"worker_memory_mb": float("nan")},
    ],
)
def test_limits_are_checked(wrong: dict[str, float]) -> None:
    with pytest.raises(BadSetting, match=f"{next(iter(wrong))} is"):
        Limits(**wrong)
