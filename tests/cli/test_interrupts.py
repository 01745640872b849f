"""Ctrl-C at any moment of a command: exit code 130 and one line, also while it still loads."""

from __future__ import annotations

import signal
import subprocess
import sys
import time

import pytest

# Says when it is within `main`: before that the interpreter starts, whose end is not ours.
PROGRAM = """
import sys
import tempme.cli

class Watcher:
    def find_spec(self, name, path=None, target=None):
        if name == "tempme.cli.verbs":
            print("started", flush=True)

sys.meta_path.insert(0, Watcher())
{before}
tempme.cli.main()
"""
LEARN = ("train", "diffrate-rates", "--target", "0.6", "--steps", "100000")


def start(*words: str, before: str = "") -> subprocess.Popen[str]:
    run = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(before=before), *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert run.stdout is not None
    assert run.stdout.readline() == "started\n"
    return run


def interrupted(run: subprocess.Popen[str]) -> tuple[int, str, str]:
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=300)
    return run.returncode, out, err


@pytest.mark.slow
@pytest.mark.parametrize("milliseconds", [0, 20, 50, 100, 150, 200, 300, 450, 600, 900, 1200, 1500])
def test_ctrl_c_while_a_command_starts(milliseconds: int) -> None:
    run = start(*LEARN)
    time.sleep(milliseconds / 1000)
    assert interrupted(run) == (130, "", "stopped\n")


IN_A_FINALIZER = """
import signal, time, tempme.systems.table

class Finalized:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

def list_systems():
    Finalized()
    time.sleep(100)

tempme.systems.table.list_systems = list_systems
"""
IN_A_MODULE_THAT_WOULD_NOT_HEAR = """
import signal

class Deaf:
    def find_spec(self, name, path=None, target=None):
        if name == "tempme.systems.table":
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                pass

sys.meta_path.insert(0, Deaf())
"""
IGNORED = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
"""


@pytest.mark.slow
@pytest.mark.parametrize("before", [IN_A_FINALIZER, IN_A_MODULE_THAT_WOULD_NOT_HEAR])
def test_ctrl_c_where_python_hides_it(before: str) -> None:
    run = start("systems", before=before)
    out, err = run.communicate(timeout=300)
    assert (run.returncode, out, err) == (130, "", "stopped\n")


SLOW_TO_END = """
import atexit, time

atexit.register(lambda: print("ending", flush=True) or time.sleep(300))
"""


@pytest.mark.slow
def test_ctrl_c_is_not_heard_in_the_background() -> None:
    code, out, err = interrupted(start("systems", "--json", before=IGNORED))
    assert (code, out[0], err) == (0, "{", "")


@pytest.mark.slow
def test_ctrl_c_once_all_is_said() -> None:
    run = start("systems", "--json", before=SLOW_TO_END)
    assert run.stdout is not None
    while run.stdout.readline() != "ending\n":
        assert run.poll() is None
    assert interrupted(run) == (-signal.SIGINT, "", "")
