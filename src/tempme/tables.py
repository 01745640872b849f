"""Tables of the README and docs, rendered from results/: nothing is typed by hand.

python -m tempme.tables README.md      rewrites what stands between <!-- scenes --> markers
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tempme.errors import BadDataset

Runs = Sequence[Mapping[str, Any]]


def scenes_table(folder: Path) -> str:
    """One row per experiment in `folder` (one subfolder each, a JSON file per seed)."""
    head = (
        "system",
        "tokens",
        "multiply-adds (G)",
        "learns (M)",
        "static R@1",
        "temporal R@1",
        "twins told apart (%)",
        "training (s)",
        "seeds",
    )
    experiments = {path.name: _runs(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    rows = [_row(name, runs) for name, runs in experiments.items() if runs]
    if not rows:
        raise BadDataset(f"{folder} holds no results; make some with `tempme train --result`")
    lines = [head, ("---",) + ("---:",) * (len(head) - 1), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def rewrite(document: Path, tables: Mapping[str, str]) -> None:
    """Put each table between its markers `<!-- name -->` and `<!-- /name -->`."""
    text = document.read_text("utf-8")
    for name, table in tables.items():
        pattern = rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)"
        literal = table.replace("\\", r"\\")
        text = re.sub(pattern, rf"\g<1>{literal}\n\g<2>", text, flags=re.DOTALL)
    document.write_text(text, "utf-8")


def _runs(folder: Path) -> Runs:
    return [json.loads(path.read_text("utf-8")) for path in sorted(folder.glob("seed-*.json"))]


def _row(name: str, runs: Runs) -> tuple[str, ...]:
    first = runs[0]
    return (
        name,
        str(first["cost"]["tokens"]),
        f"{first['cost']['gmacs']:.2f}",
        f"{first['cost']['trainable_parameters'] / 1e6:.2f}",
        _spread(run["metrics"]["static"]["t2v"]["r1"] for run in runs),
        _spread(run["metrics"]["temporal"]["t2v"]["r1"] for run in runs),
        _spread(run["metrics"]["temporal"]["twins"] for run in runs),
        _spread((run["training_seconds"] for run in runs), digits=0),
        str(len(runs)),
    )


def _spread(values: Any, *, digits: int = 1) -> str:
    numbers = list(values)
    middle = f"{mean(numbers):.{digits}f}"
    return middle if len(numbers) < 2 else f"{middle} ± {stdev(numbers):.{digits}f}"


if __name__ == "__main__":
    shown = {"scenes": scenes_table(Path("results/scenes"))}
    for given in sys.argv[1:]:
        rewrite(Path(given), shown)
