"""docs/cli.md: every verb, its arguments and options, as `--help` has them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from typer import Context
from typer.core import TyperArgument, TyperGroup
from typer.main import get_command

from tempme.cli.verbs import app
from tempme.results.markdown import table

HEAD = """\
# The command line

Written by `make docs` from the program; do not edit. What a verb is about is its argument (`tempme index PATHS`,
`tempme eval MODEL DATASET`); what it uses on the way is an option, of one meaning in all verbs. Answers go to stdout,
`--json` makes them one JSON document; messages go to stderr. A verb ends with 0; with 1 and one line that says what
to do; with 2 where it was called wrongly; with 130 after Ctrl-C.
"""
# Of the shell and of every verb alike.
COMMON = {"help", "install_completion", "show_completion"}


def document() -> str:
    """docs/cli.md as it should be."""
    root: Any = get_command(app)
    return "\n".join([HEAD, *_sections(root, Context(root, info_name="tempme"))])


def _sections(command: Any, context: Context) -> Iterator[str]:
    if not isinstance(command, TyperGroup):
        yield _section(command, context)
        return
    for name in command.list_commands(context):
        inner = command.get_command(context, name)
        if inner is not None:
            yield from _sections(inner, Context(inner, info_name=name, parent=context))


def _section(command: Any, context: Context) -> str:
    shown = [p for p in command.params if p.name not in COMMON and not _is_hidden(p)]
    arguments = [_spelled(p) for p in shown if isinstance(p, TyperArgument)]
    rows = [(f"`{_spelled(p)}`", _help(p), _default(p, context)) for p in shown]
    usage = " ".join([context.command_path, *arguments])
    body = table(("", "", "default"), rows, left=3) if rows else ""
    return f"## {usage}\n\n{(command.help or '').strip()}\n\n{body}\n"


def _is_hidden(parameter: Any) -> bool:
    return bool(getattr(parameter, "hidden", False))


def _spelled(parameter: Any) -> str:
    if isinstance(parameter, TyperArgument):
        return str(parameter.name).upper() + ("..." if parameter.nargs == -1 else "")
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


def _default(parameter: Any, context: Context) -> str:
    if parameter.required:
        return "required"
    value = parameter.get_default(context)
    if value is None or value is False:
        return ""
    return f"`{getattr(value, 'value', value)}`"


def _help(parameter: Any) -> str:
    return " ".join((parameter.help or "").split())
