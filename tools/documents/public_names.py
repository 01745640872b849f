"""docs/python.md: every public name with its signature and its words, from the docstrings."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

import tempme

HEAD = """\
# From Python

Written by `make docs` from the docstrings; do not edit. `import tempme` is cheap; torch is loaded by the first name
that needs it. Everything that a person's input can do wrong raises a `TempmeError` whose words say what to do.
"""


def document() -> str:
    """docs/python.md as it should be."""
    return "\n".join([HEAD, *(_entry(name, getattr(tempme, name)) for name in tempme.__all__)])


def _entry(name: str, value: Any) -> str:
    lines = [f"## `tempme.{name}`\n"]
    if not (inspect.isclass(value) and issubclass(value, Exception)):
        lines.append(_code(f"{name}{_signature(value)}"))
    lines.append(_text(value))
    if inspect.isclass(value):
        lines += [_member(name, *member) for member in _members(value)]
    return "\n".join(lines)


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """What the class itself offers, in the order in which it is written."""
    for name, member in vars(kind).items():
        if not name.startswith("_") and _is_described(member):
            yield name, member


def _is_described(member: Any) -> bool:
    function = getattr(member, "__func__", getattr(member, "fget", member))
    return bool(callable(function) and inspect.getdoc(function))


def _member(owner: str, name: str, member: Any) -> str:
    if isinstance(member, property):
        return f"**`.{name}`** {_text(member.fget)}"
    function = getattr(member, "__func__", member)
    first = owner if isinstance(member, classmethod | staticmethod) else ""
    return f"{_code(f'{first}.{name}{_signature(function)}')}\n{_text(function)}"


def _signature(value: Any) -> str:
    """As written, without self; one argument a line where it is long."""
    signature = inspect.signature(value)
    given = [p for p in signature.parameters.values() if p.name not in ("self", "cls")]
    short = str(signature.replace(parameters=given)).replace("'", "")
    if len(short) < 80:
        return short
    lines = [f"    {line}," for line in _arguments(given)]
    _, arrow, answer = short.rpartition(" -> ")
    return "\n".join(["(", *lines, f"){arrow}{answer}" if arrow else ")"])


def _arguments(parameters: list[inspect.Parameter]) -> Iterator[str]:
    is_starred = False
    for parameter in parameters:
        if parameter.kind is parameter.KEYWORD_ONLY and not is_starred:
            is_starred = True
            yield "*"
        yield str(parameter).replace("'", "")


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def _text(value: Any) -> str:
    return f"{inspect.getdoc(value)}\n"
