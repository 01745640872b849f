from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import CancelledError
from pathlib import Path

import pytest

import tempme
from tempme.errors import BadSetting
from tempme.processes.pool import Crash, Limits, Workers, each_in_processes


def square(number: int) -> int:
    return number * number


def square_or_die(number: int) -> int:
    if number % 4 == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_once(mark: Path) -> str:
    """The first process that sees the mark's absence dies."""
    if not mark.exists():
        mark.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return "well"


def sleep(seconds: float) -> int:
    time.sleep(seconds)
    return os.getpid()


def print_and_refuse(number: int) -> int:
    print("libraries talk")
    raise BadSetting(f"number is {number}")


class Unportable(Exception):
    def __init__(self, first: int, second: int) -> None:
        super().__init__(first + second)


def refuse_strangely(number: int) -> int:
    raise Unportable(number, number)


@pytest.mark.slow
def test_every_item_gets_its_answer() -> None:
    answers = dict(each_in_processes(square, range(7), workers=2))
    assert answers == {number: number * number for number in range(7)}
    assert list(each_in_processes(square, [])) == []


@pytest.mark.slow
def test_an_item_that_kills_its_process_costs_nobody_else_the_answer() -> None:
    answers = dict(each_in_processes(square_or_die, range(8), workers=2))
    assert {number for number, answer in answers.items() if isinstance(answer, Crash)} == {3, 7}
    assert all(answers[number] == number * number for number in (0, 1, 2, 4, 5, 6))
    assert "SIGKILL" in answers[3].reason


@pytest.mark.skipif(os.name != "posix", reason="terminals of POSIX send signals to groups")
def test_ctrl_c_in_a_terminal_is_for_the_parent_alone() -> None:
    with Workers(os.getpgid, workers=1) as crew:
        assert crew.submit(0).result() != os.getpgid(0)


def test_workers_are_counted() -> None:
    with pytest.raises(BadSetting, match="workers is 0"):
        list(each_in_processes(square, [1], workers=0))
    with pytest.raises(BadSetting, match="workers is -1"):
        Workers(square, workers=-1)


def test_a_victim_is_not_blamed(tmp_path: Path) -> None:
    with Workers(die_once, workers=1) as crew:
        assert crew.submit(tmp_path / "mark").result() == "well"


@pytest.mark.slow
def test_a_process_that_hangs_is_ended_and_replaced() -> None:
    with Workers(sleep, workers=1, limits=Limits(timeout_seconds=3.0)) as crew:
        before, hangs, after = (crew.submit(seconds) for seconds in (0, 600, 0))
        assert hangs.result() == Crash("timeout: its process hung for 3 s")
        assert before.result() != after.result()


@pytest.mark.parametrize("workers", [0, 1])
def test_what_the_task_raises_is_raised_here(workers: int) -> None:
    with Workers(print_and_refuse, workers=workers) as crew:
        for number in (1, 2):
            with pytest.raises(BadSetting, match=f"number is {number}"):
                crew.submit(number).result()


def test_errors_that_cannot_travel_come_as_words() -> None:
    with Workers(refuse_strangely, workers=1) as crew:
        with pytest.raises(RuntimeError, match="Unportable: 4"):
            crew.submit(2).result()
        with pytest.raises(RuntimeError, match="Unportable: 6"):
            crew.submit(3).result()


def is_running(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_closing_ends_processes_and_cancels_what_waits() -> None:
    with Workers(sleep, workers=1) as crew:
        process = crew.submit(0.0).result()
        assert is_running(process)
        flying, waiting = crew.submit(600.0), crew.submit(600.0)
        while not flying.running():
            time.sleep(0.01)
    assert not is_running(process)
    assert isinstance(flying.result(timeout=10), Crash)
    with pytest.raises(CancelledError):
        waiting.result(timeout=10)
    with pytest.raises(RuntimeError, match="closed"):
        crew.submit(0.0)


@pytest.mark.slow
def test_workers_that_nobody_holds_end() -> None:
    crew = Workers(sleep, workers=1)
    process = crew.submit(0.0).result()
    del crew
    gc.collect()
    assert not is_running(process)


SCRIPT = """
import time
from tempme.processes.pool import Workers
from test_processes import sleep

crew = Workers(sleep, workers=1)  # no guard for the main module, no `with`
print(crew.submit(0.0).result(), flush=True)
crew.submit(600.0)
crew.submit(600.0)
{end}
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "status"),
    [("", 0), ("import os; os._exit(3)", 3), ("raise KeyboardInterrupt", -signal.SIGINT)],
    ids=["end of the program", "sudden death", "Ctrl-C"],
)
def test_processes_end_with_their_parent(tmp_path: Path, end: str, status: int) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(end=end))
    search = [Path(__file__).parent, Path(tempme.__file__).parents[1]]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, search))}
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        env=env,
        timeout=60,
        check=False,
    )
    assert done.returncode == status
    process = int(done.stdout)
    for _ in range(200):
        if not is_running(process):
            return
        time.sleep(0.05)
    pytest.fail("the worker outlived its parent")
