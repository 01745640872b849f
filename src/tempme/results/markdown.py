"""Markdown: tables, numbers with their spread, and what stands between markers."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from tempme.errors import BadDataset

NOTHING = "–"  # what a result does not say


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> str:
    """A table whose first `left` columns are words and whose others are numbers."""
    rule = ["---"] * left + ["---:"] * (len(head) - left)
    return "\n".join("| " + " | ".join(line) + " |" for line in [head, rule, *rows])


def without_empty(
    head: Sequence[str], rows: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    """The same, less the columns of which no row says anything."""
    kept = [i for i in range(len(head)) if any(row[i] != NOTHING for row in rows)]
    return [head[i] for i in kept], [[row[i] for i in kept] for row in rows]


def number(value: float | int | None, *, digits: int = 1) -> str:
    """A number with its thousands apart, or an en dash."""
    return NOTHING if value is None else f"{value:,.{digits}f}"


def spread(value: Mapping[str, Any] | None, *, digits: int = 1) -> str:
    """Mean ± sample standard deviation of a summary's {mean, spread, runs}."""
    if value is None or value["spread"] is None:
        return middle(value, digits=digits)
    return f"{middle(value, digits=digits)} ± {value['spread']:.{digits}f}"


def middle(value: Mapping[str, Any] | None, *, digits: int = 1) -> str:
    """The mean alone: what is measured once for all seeds has no spread over them."""
    return number(None if value is None else value["mean"], digits=digits)


def rewrite(text: str, parts: Mapping[str, str], *, document: object = "the document") -> str:
    """`text` with every part between its markers `<!-- name -->` and `<!-- /name -->`."""
    for name, part in parts.items():
        between = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", flags=re.DOTALL)
        if len(between.findall(text)) != 1:
            raise BadDataset(
                f"{document} needs the lines <!-- {name} --> and <!-- /{name} --> once: "
                f"what stands between them is rendered"
            )
        literal = part.replace("\\", r"\\")
        text = between.sub(rf"\g<1>{literal}\n\g<2>", text)
    return text
