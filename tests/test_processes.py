from __future__ import annotations

import os
import signal

import pytest

from tempme.errors import BadSetting
from tempme.processes import Crash, each_in_processes


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number % 4 == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def test_every_item_gets_its_answer() -> None:
    answers = dict(each_in_processes(square, range(7), workers=2))
    assert answers == {number: number * number for number in range(7)}
    assert list(each_in_processes(square, [])) == []


def test_an_item_that_kills_its_process_costs_nobody_else_the_answer() -> None:
    answers = dict(each_in_processes(square_or_die, range(8), workers=1))
    assert {number for number, answer in answers.items() if isinstance(answer, Crash)} == {3, 7}
    assert all(answers[number] == number * number for number in (0, 1, 2, 4, 5, 6))


def test_workers_are_counted_from_one() -> None:
    with pytest.raises(BadSetting, match="workers is 0"):
        list(each_in_processes(square, [1], workers=0))
