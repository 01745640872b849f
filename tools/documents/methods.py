"""Every method and every row in words: docs/methods.md, written from the docstrings.

The head of a method's file is its paragraph and its citation; lines `name: meaning` in the
docstring of its settings are the table of these; `sources` says where a row is from.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import MISSING, Field, fields, replace
from typing import Any

from tempme.compression import COMPRESSIONS
from tempme.errors import BadSetting
from tempme.pooling import POOLINGS
from tempme.systems.facts import facts, name_of
from tempme.systems.system import System, settings_of
from tempme.systems.table import SYSTEMS, system
from tempme.tuning import TUNINGS

HEAD = """\
# Methods

Written by `make docs` from the docstrings; do not edit. A system is a backbone, a tuning (which
parameters learn), a compression (which tokens survive) and a pooling (how a video becomes one
feature). How to add one: [adding-a-method.md](adding-a-method.md).
"""
SYSTEMS_HEAD = """\
## Systems

Every row of `tempme systems`, with ViT-B/32 and 12 frames, but for the authors' own settings, which
name theirs, and the rows of UMT, with UMT-B/16. Multiply-adds are giga of the image tower for one
video alone: those that run, as the paper counts them, and on top of both what making prompts costs,
which the paper leaves out. Those that run are fewer, because the last block serves only the tokens
that are read after it; of UMT, which has no class tokens, all are. "Reproduced" rows equal the
official code on the same weights; "reconstructed" ones are built from a paper's words and numbers.

The rows of UMT are those of the paper's Table 6: 304.3, 210.1 and 111.5 there. With which setting
frames merge is not published. Several print 111.5 (r 12 with 50 and 15 % merged, 45 and 25 or 35
and 40; r 13 with 25 and 30 or 10 and 45; r 15 with 15 and 10); the row takes the first.
"""
MEETING_HEAD = """\
## Which tuning meets which compression

At the settings of the table. Where a pair is refused, the number says why.
"""
KINDS: tuple[tuple[str, Mapping[str, type]], ...] = (
    ("Tunings", TUNINGS),
    ("Compressions", COMPRESSIONS),
    ("Poolings", POOLINGS),
)


def document() -> str:
    """docs/methods.md as it should be."""
    parts = [HEAD, SYSTEMS_HEAD, _systems(), MEETING_HEAD, _meetings()]
    for title, kinds in KINDS:
        parts += [f"## {title}\n", *_methods(kinds)]
    return "\n".join(parts)


def _systems() -> str:
    head = ("system", "tuning", "compression", "learns", "tokens", "run", "paper", "prompts")
    rows = [facts(_as_documented(name)) for name in SYSTEMS]
    table = _table(
        (*head, "standing", "source", "what differs"),
        (
            (
                f"`{row['system']}`",
                *(row[key] for key in ("tuning", "compression")),
                f"{row['trainable_parameters']:,}",
                str(row["tokens_out"]),
                f"{row['gmacs']:.1f}",
                f"{row['gflops_paper']:.1f}",
                f"{row['gmacs_prompts']:.1f} {row['makes_prompts']}"
                if row["gmacs_prompts"]
                else "",
                *(row[key] for key in ("standing", "source", "differs")),
            )
            for row in rows
        ),
    )
    return table + "\n"


def _as_documented(name: str) -> System:
    """Rows of the paper on one backbone; the authors' own on theirs."""
    row = SYSTEMS[name]
    return row if name.endswith("-original") else system(name, frames=row.frames)


def _meetings() -> str:
    reasons: list[str] = []
    names = [name for name in COMPRESSIONS if name != "keep"]
    head = ("", *names)
    rows = []
    for row in SYSTEMS.values():
        if name_of(row.compression, COMPRESSIONS) != "keep" or row.name.endswith("-original"):
            continue
        cells = [_meeting(row, COMPRESSIONS[name](), reasons) for name in names]
        rows.append((f"`{row.name}`", *cells))
    notes = "\n".join(f"{number}. {reason}" for number, reason in enumerate(reasons, 1))
    return f"{_table(head, rows)}\n\n{notes}\n"


def _meeting(row: System, compression: Any, reasons: list[str]) -> str:
    try:
        replace(row, compression=compression, frames=12)
    except BadSetting as refusal:
        reason = str(refusal)
        if reason not in reasons:
            reasons.append(reason)
        return str(1 + reasons.index(reason))
    return "yes"


def _methods(kinds: Mapping[str, type]) -> Iterator[str]:
    described: dict[str, str] = {}
    for name, kind in kinds.items():
        yield f"### `{name}`\n"
        module = inspect.getmodule(kind)
        of_file = inspect.getdoc(module) or ""
        first = described.setdefault(of_file, name)
        yield (
            _linked(of_file) + "\n" if first == name else f"See `{first}`, whose file it shares.\n"
        )
        text, meanings = explained(kind)
        yield _linked(text) + "\n"
        settings = settings_of(kind)
        if settings:
            rows = ((f"`{f.name}`", f"`{_default(f)!r}`", meanings[f.name]) for f in settings)
            yield _table(("setting", "default", "meaning"), rows) + "\n"
        of_rows = [f"`{row.name}`" for row in SYSTEMS.values() if _uses(row, kind)]
        yield f"Rows: {', '.join(of_rows) or 'none'}.\n"


def explained(kind: type) -> tuple[str, dict[str, str]]:
    """What the docstring of settings says, and what it says of each of them."""
    known = {f.name for f in fields(kind)}
    text: list[str] = []
    meanings: dict[str, str] = {}
    current: str | None = None
    for line in (inspect.getdoc(kind) or "").splitlines():
        names, _, meaning = line.partition(": ")
        if meaning and set(names.split(", ")) <= known:
            current = names
            meanings |= dict.fromkeys(names.split(", "), meaning)
        elif current and line.startswith(" "):
            for name in current.split(", "):
                meanings[name] += " " + line.strip()
        else:
            current = None
            text.append(line)
    inherited = [base for base in kind.__mro__[1:] if base.__module__.startswith("tempme.")]
    for base in inherited:
        if hasattr(base, "__dataclass_fields__") and not known <= meanings.keys():
            meanings = explained(base)[1] | meanings
    return "\n".join(text).strip(), meanings


def _default(field: Field[Any]) -> Any:
    if field.default is not MISSING:
        return field.default
    assert field.default_factory is not MISSING, field.name
    return field.default_factory()


def _linked(text: str) -> str:
    """The same text, with arXiv numbers as links."""
    return re.sub(r"arXiv (\d{4}\.\d{5})", r"[arXiv \1](https://arxiv.org/abs/\1)", text)


def _uses(row: System, kind: type) -> bool:
    return kind in (type(row.tuning), type(row.compression), type(row.pooling))


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = [list(head), *(list(row) for row in rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
