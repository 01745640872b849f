"""The documents that results/ is rendered into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from documents.benchmarks import benchmark_tables
from documents.counted import experiments_now
from tempme.errors import BadDataset
from tempme.results.accuracy import (
    Summary,
    every_metric,
    every_seed,
    full_table,
    short_table,
    summaries,
)
from tempme.results.markdown import NOTHING, number, rewrite, table, without_empty
from tempme.results.quoted import Quoted, Table, read_paper
from tempme.results.runs import Run, read_experiments

README, RESULTS = Path("README.md"), Path("docs/results.md")
PICTURES = Path("docs/pictures")
CURVES = "rules-accuracy"  # the picture of benchmarks/rules.py
ABOUT_CURVES = (
    "What rules lose without training, on generated scenes: R@1 against multiply-adds, and against "
    "time where it was measured (the spread is over galleries)"
)
PLOTS = {"accuracy": "accuracy against multiply-adds", "loss": "loss curves"}
COLUMNS = {
    "r1": ("t2v R@1", 1),
    "r5": ("R@5", 1),
    "r10": ("R@10", 1),
    "rsum": ("R-Sum", 1),
    "mean_rank": ("MnR", 1),
    "v2t_r1": ("v2t R@1", 1),
    "v2t_r5": ("R@5", 1),
    "v2t_r10": ("R@10", 1),
    "v2t_mean_rank": ("MnR", 1),
    "gflops": ("multiply-adds (G)", 1),
    "parameters": ("learns (M)", 2),
    "tokens": ("tokens", 0),
    "videos_per_second": ("videos/s", 1),
}


def render(root: Path = Path()) -> dict[Path, str]:
    """Every document below `root` as it should be, from what results/ holds."""
    results = root / "results"
    experiments = experiments_now(read_experiments(results))
    if "scenes" not in experiments:
        raise BadDataset(f"{results / 'scenes'} holds no results; `make results` makes them")
    paper = read_paper(results)
    found = {data_set: summaries(one) for data_set, one in experiments.items()}
    parts = {
        README: {"scenes": "\n\n".join([short_table(found["scenes"]), *_curves(root, "docs/")])},
        RESULTS: {
            "results": "\n\n".join(
                _data_set(name, found[name], experiments[name], paper, root / PICTURES)
                for name in sorted(found)
            ),
            "paper": "\n\n".join(_quoted(place, rows) for place, rows in paper.items()),
            "benchmarks": "\n\n".join(
                [*_curves(root, ""), benchmark_tables(results / "benchmarks")]
            ),
        },
    }
    return {
        document: rewrite((root / document).read_text("utf-8"), part, document=document)
        for document, part in parts.items()
    }


def stale(root: Path = Path()) -> tuple[Path, ...]:
    """Documents that do not say what results/ holds."""
    return tuple(
        document
        for document, text in render(root).items()
        if (root / document).read_text("utf-8") != text
    )


def write(root: Path = Path()) -> tuple[Path, ...]:
    """Rewrite the documents that are out of date; which they were."""
    changed = stale(root)
    made = render(root)
    for document in changed:
        (root / document).write_text(made[document], "utf-8")
    return changed


def picture_name(data_set: str, kind: str) -> str:
    """The file name of a picture, without its ending."""
    return f"{data_set.replace('/', '-')}-{kind}"


def _curves(root: Path, folder: str) -> list[str]:
    """The picture of what rules lose, where it was drawn; `folder` is where docs are from there."""
    if not (root / PICTURES / f"{CURVES}.png").is_file():
        return []
    picture = f"{folder}{PICTURES.name}/{CURVES}"
    return [f"[![{ABOUT_CURVES}]({picture}.png)]({picture}.svg)", f"{ABOUT_CURVES}."]


def _data_set(
    name: str,
    found: Mapping[str, Summary],
    experiments: Mapping[str, Sequence[Run]],
    paper: Mapping[tuple[str, str], Table],
    pictures: Path,
) -> str:
    shown = [
        f"[![{words}: {name}](pictures/{file}.png)](pictures/{file}.svg)"
        for kind, words in PLOTS.items()
        if (pictures / f"{(file := picture_name(name, kind))}.png").is_file()
    ]
    return "\n\n".join(
        [
            f"## {name}",
            full_table(found, paper),
            *shown,
            f"### {name}: every metric",
            every_metric(found),
            f"### {name}: every seed",
            every_seed(experiments, list(found)),
        ]
    )


def _quoted(place: tuple[str, str], rows: Mapping[str, Quoted]) -> str:
    head = ["system", "note", *(label for label, _ in COLUMNS.values())]
    body = []
    for name, row in rows.items():
        values = asdict(row)
        numbers = (number(values[key], digits=digits) for key, (_, digits) in COLUMNS.items())
        body.append([name, row.note or NOTHING, *numbers])
    kept_head, kept = without_empty(head, body)
    left = 2 if kept_head[1:2] == ["note"] else 1
    return f"### {', '.join(place)}\n\n{table(kept_head, kept, left=left)}"
