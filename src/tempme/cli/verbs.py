"""The verbs, and how they end. Each loads when it is used; torch when a verb needs it."""

from __future__ import annotations

import errno
import importlib.util
import os
import sys
from collections.abc import Sequence
from typing import Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from tempme.cli import INTERRUPTED
from tempme.cli.output import NotWritten, flush, give_up_stdout, print_line, say
from tempme.errors import BadSetting, Stopped, TempmeError

# In the order in which a person meets them.
VERBS = (
    "index",
    "search",
    "similar",
    "answer",
    "status",
    "forget",
    "features",
    "check",
    "store",
    "serve",
    "show",
    "systems",
    "data",
    "train",
    "train diffrate-rates",
    "adapt",
    "eval",
    "compare",
    "push",
    "export",
    "demo",
)

# Verbs of two words: the module of each. The first alone is a verb with an argument of its own.
OF_TWO_WORDS = {"train diffrate-rates": "diffrate_rates"}


class Verbs(TyperGroup):
    """One module for every verb, with a Typer app of that name in it, imported when asked for."""

    def list_commands(self, ctx: Any) -> list[str]:
        """All verbs, whatever has been imported."""
        del ctx  # the verbs are the same everywhere
        return [name for name in VERBS if name in OF_TWO_WORDS or _has_module(name)]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a verb, or None."""
        if cmd_name not in self.list_commands(ctx):
            return None
        return _command(OF_TWO_WORDS.get(cmd_name, cmd_name), cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word, or the first two, name; and what follows them."""
        name = " ".join(args[:2])
        if name in OF_TWO_WORDS:
            return name, self.get_command(ctx, name), args[2:]
        return super().resolve_command(ctx, args)


def _command(module: str, name: str) -> Any:
    command = get_command(importlib.import_module(f"tempme.cli.{module}").app)
    command.name = name
    return command


app = typer.Typer(
    cls=Verbs,
    name="tempme",
    help="Find the moment you describe: index folders of videos, then search them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print_line(version("tempme"))
        raise typer.Exit


@app.callback()
def _options(
    _: bool = typer.Option(
        False, "--version", help="Print the version.", is_eager=True, callback=_version
    ),
) -> None:
    pass


def run() -> int | str | None:
    """Do what the arguments say; the exit code. KeyboardInterrupt where Ctrl-C cut it short."""
    try:
        _check_words(sys.argv[1:])
        app()
    except Stopped as told:
        say(str(told))
        return INTERRUPTED
    except SystemExit as end:
        if end.code == INTERRUPTED:  # what Typer makes of Ctrl-C
            raise KeyboardInterrupt from end
        return _flushed(end.code)
    except Exception as error:
        return _failed(error)
    return _flushed(0)


def _check_words(words: Sequence[str]) -> None:
    # An empty path is read as the folder one is in, and `forget "$FILMS"` would forget all of it.
    for place, word in enumerate(words):
        if not word or (word.startswith("--") and word.find("=") == len(word) - 1):
            after = f" after {words[place - 1]}" if place and not word else f" of {word[:-1]}"
            raise BadSetting(
                f"the value{after} is empty; if it comes from a variable, that is not set"
            )


def _flushed(code: int | str | None) -> int | str | None:
    """The exit code, once what was printed is known to have arrived."""
    try:
        flush()
    except Exception as error:
        return _failed(error)
    return code


def _failed(error: Exception) -> int:
    if isinstance(error, NotWritten):
        give_up_stdout()
    if isinstance(error, TempmeError):
        return _fail(str(error))
    if isinstance(error, BrokenPipeError):
        # The reader of our output has left (`| head`): nothing more to say, not even at exit.
        give_up_stdout()
        return 1
    if os.environ.get("TEMPME_TRACEBACK"):
        raise error
    if isinstance(error, OSError):
        return _fail(_told(error))
    return _fail(f"{type(error).__name__}: {error} (set TEMPME_TRACEBACK=1 to see where)")


def _told(error: OSError) -> str:
    reason = error.strerror or str(error)
    if error.filename is not None:
        return f"{error.filename}: {reason}; mend this, or give another path"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"{reason.lower()}: make room, then run the same command again"
    return f"{reason.lower()} (set TEMPME_TRACEBACK=1 to see where)"


def _fail(message: str) -> int:
    say("error: " + " ".join(message.split()))
    return 1


def _has_module(name: str) -> bool:
    return importlib.util.find_spec(f"tempme.cli.{name}") is not None
