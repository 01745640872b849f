"""Tables of what was trained: one row per experiment, in the order of the paper's table."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tempme.results.markdown import NOTHING, middle, number, spread, table, without_empty
from tempme.results.quoted import Quoted, Table, quoted_for
from tempme.results.runs import Run, summarize
from tempme.systems.table import SYSTEMS

Summary = Mapping[str, Any]
Column = tuple[str, Callable[[Summary], str]]

SCENE_PARTS = ("static", "temporal", "both", "lively")
PLAIN = SCENE_PARTS[:3]  # lively scenes are judged where some were learnt from
# The table of the README; everything else is in docs/results.md.
SHORT = (
    "clip4clip",
    "lora",
    "tome",
    "imgme-only",
    "token-reduction",
    "temporal-modelling",
    "tempme",
    "tempme-full",
)
AGAIN = "again"  # of a part: metrics of what a match head looked at again
KINDS = ("looks", "order")  # of questions about scenes: what one frame tells, and what none does
DIRECTIONS = {"t2v": "text to video", "v2t": "video to text"}
SCORES = {"r1": "R@1", "r5": "R@5", "r10": "R@10", "median_rank": "MdR", "mean_rank": "MnR"}


def summaries(experiments: Mapping[str, Sequence[Run]]) -> dict[str, Summary]:
    """Experiment -> summary, in the order of the table of systems, then by name."""
    made = {name: summarize(runs) for name, runs in experiments.items()}
    return {name: made[name] for name in sorted(made, key=lambda name: _place(name, made[name]))}


def short_table(found: Mapping[str, Summary]) -> str:
    """The few systems and columns that a README has room for, and where they were measured."""
    few = {name: summary for name, summary in found.items() if name in SHORT}
    columns: list[Column] = [
        ("tokens", lambda one: _cost(one, "tokens", 0)),
        ("multiply-adds (G)", lambda one: _cost(one, "gmacs", 2)),
        ("learns (M)", _learns),
        *((f"{part} R@1", _score(part, "t2v", "r1")) for part in SCENE_PARTS),
        ("twins told apart (%)", _twins),
        ("videos/s", lambda one: middle(one.get("videos_per_second"))),
        ("seeds", _seeds),
    ]
    return f"{_table(few, columns, keep_empty=False)}\n\n{measured_on(few)}"


def full_table(found: Mapping[str, Summary], paper: Mapping[tuple[str, str], Table]) -> str:
    """Cost, accuracy and time of all experiments of a data set, the paper's numbers beside them."""
    beside, note = _paper_columns(found, paper)
    return f"{_table(found, [*every_column(found), *beside])}\n\n{measured_on(found)}{note}"


def every_column(found: Mapping[str, Summary]) -> list[Column]:
    """What is told of each experiment, by the name of its column."""
    return [
        ("tokens", lambda one: _cost(one, "tokens", 0)),
        ("multiply-adds (G)", lambda one: _cost(one, "gmacs", 2)),
        ("as the paper counts", lambda one: _cost(one, "gflops_paper", 2)),
        ("learns (M)", _learns),
        *_accuracy(found),
        ("videos/s", lambda one: middle(one.get("videos_per_second"))),
        ("training (s)", lambda one: spread(one.get("training_seconds"), digits=0)),
        ("peak memory (MB)", lambda one: spread(one.get("peak_memory_mb"), digits=0)),
        ("seeds", _seeds),
    ]


def every_metric(found: Mapping[str, Summary]) -> str:
    """All scores of all parts in both directions; of questions, of every type."""
    if _asks(found):
        return _every_type(found)
    head = ["system", "part", "direction", *SCORES.values(), "R@50", "R-Sum", "queries"]
    rows = [
        [
            name,
            part,
            DIRECTIONS[direction],
            *(spread(scores.get(key), digits=2) for key in (*SCORES, "r50", "rsum")),
            middle(scores.get("num_queries"), digits=0),
        ]
        for name, summary in found.items()
        for part, directions in summary["metrics"].items()
        if isinstance(directions, Mapping)
        for direction, scores in directions.items()
        if direction in DIRECTIONS
    ]
    return table(head, rows, left=3)


def _every_type(found: Mapping[str, Summary]) -> str:
    """The share of right answers to every type of question."""
    rows = [
        [name, part, kind, spread(one.get("percent")), middle(one.get("num_questions"), digits=0)]
        for name, summary in found.items()
        for part, answers in summary["metrics"].items()
        for kind, one in answers["by_type"].items()
    ]
    return table(["system", "part", "questions", "right (%)", "number"], rows, left=3)


def every_seed(experiments: Mapping[str, Sequence[Run]], names: Sequence[str]) -> str:
    """One row per run: text to video R@1 of its parts, time, machine and commit."""
    columns = _accuracy({str(i): summarize([run]) for i, run in _numbered(experiments, names)})
    head = [
        *("system", "seed"),
        *(name for name, _ in columns),
        *("training (s)", "machine", "torch", "commit"),
    ]
    rows = []
    for name in names:
        for run in experiments[name]:
            alone = summarize([run])
            rows.append(
                [
                    *(name, str(run["seed"])),
                    *(cell(alone) for _, cell in columns),
                    spread(alone["training_seconds"], digits=0),
                    *(alone[key][0] for key in ("machines", "torch", "commits")),
                ]
            )
    return table(*without_empty(head, rows), left=2)


def measured_on(found: Mapping[str, Summary]) -> str:
    """Machines and versions, and whether all rows share them."""
    machines: dict[str, list[str]] = {}
    for name, summary in found.items():
        machines.setdefault(", ".join(summary["machines"]), []).append(name)
    if len(machines) == 1:
        places = next(iter(machines))
    else:
        places = "; ".join(f"{place}: {', '.join(names)}" for place, names in machines.items())
    versions = sorted({one for summary in found.values() for one in summary["torch"]})
    return (
        f"Mean ± sample standard deviation over seeds. Measured on {places}, "
        f"torch {', '.join(versions)}."
    )


def of_backbone(summary: Summary) -> str:
    """The name of the backbone, or what it is."""
    named = summary["settings"]["system"].get("backbone", "ViT-B/32")
    backbone = summary.get("backbone") or named  # what was built, where the result says it
    return backbone if isinstance(backbone, str) else "own backbone"


def _numbered(
    experiments: Mapping[str, Sequence[Run]], names: Sequence[str]
) -> list[tuple[int, Run]]:
    return list(enumerate(run for name in names for run in experiments[name]))


def _place(name: str, summary: Summary) -> tuple[int, bool, list[tuple[int, str]]]:
    system = summary["settings"]["system"]["name"]
    known = list(SYSTEMS)
    row = known.index(name if name in known else system) if system in known else len(known)
    # Numbers in names count as numbers: keep-9 stands before keep-10.
    pieces = [(int(piece), "") if piece.isdigit() else (0, piece) for piece in _pieces(name)]
    return row, name != system, pieces


def _pieces(name: str) -> list[str]:
    return [piece for piece in re.split(r"(\d+)", name) if piece]


def _table(
    found: Mapping[str, Summary], columns: Sequence[Column], *, keep_empty: bool = True
) -> str:
    rows = [[name, *(cell(one) for _, cell in columns)] for name, one in found.items()]
    head = ["system", *(name for name, _ in columns)]
    return table(head, rows) if keep_empty else table(*without_empty(head, rows))


def _accuracy(found: Mapping[str, Summary]) -> list[Column]:
    parts = list(dict.fromkeys(part for one in found.values() for part in one["metrics"]))
    if _asks(found):
        return [(f"{part} accuracy (%)", _answered(part)) for part in parts] + [
            (f"{part}: {kind} (%)", _answered(part, kind)) for part in parts for kind in KINDS
        ]
    of_scenes = PLAIN if set(parts) & set(PLAIN) else ()
    columns: list[Column] = [(f"{part} R@1", _score(part, "t2v", "r1")) for part in of_scenes]
    if of_scenes:
        columns.append(("twins told apart (%)", _twins))
    if "lively" in parts:
        columns += [
            ("lively R@1", _score("lively", "t2v", "r1")),
            ("lively: order told apart (%)", _apart("lively", "twins")),
            ("lively: details told apart (%)", _apart("lively", "rivals")),
        ]
    if any(AGAIN in (one["metrics"].get("static") or {}) for one in found.values()):
        columns += [(f"{part} R@1, looked at again", _again(part)) for part in SCENE_PARTS[:2]]
    others = [part for part in parts if part not in SCENE_PARTS]
    for part in others:
        for direction in DIRECTIONS:
            prefix = direction if len(others) == 1 else f"{part} {direction}"
            columns += [
                (f"{prefix} {label}", _score(part, direction, key)) for key, label in SCORES.items()
            ]
    return columns


def _asks(found: Mapping[str, Summary]) -> bool:
    """Whether these are results of questions, not of retrieval."""
    parts = [part for one in found.values() for part in one["metrics"].values()]
    return bool(parts) and all("accuracy" in part for part in parts)


def _answered(part: str, kind: str | None = None) -> Callable[[Summary], str]:
    """The share of right answers; of one kind of question, however its types are named."""

    def cell(one: Summary) -> str:
        found = one["metrics"].get(part) or {}
        if kind is None:
            return spread(found.get("accuracy"))
        return spread((found.get("by_need") or {}).get(kind))

    return cell


def _again(part: str) -> Callable[[Summary], str]:
    def cell(one: Summary) -> str:
        again = (one["metrics"].get(part) or {}).get(AGAIN) or {}
        return spread((again.get("t2v") or {}).get("r1"))

    return cell


def _score(part: str, direction: str, key: str) -> Callable[[Summary], str]:
    def cell(one: Summary) -> str:
        directions = one["metrics"].get(part) or {}
        return spread((directions.get(direction) or {}).get(key))

    return cell


def _apart(part: str, of: str) -> Callable[[Summary], str]:
    def cell(one: Summary) -> str:
        return spread((one["metrics"].get(part) or {}).get(of))

    return cell


_twins = _apart("temporal", "twins")


def _cost(one: Summary, key: str, digits: int) -> str:
    return number(one["cost"].get(key), digits=digits)


def _learns(one: Summary) -> str:
    count = one["cost"].get("trainable_parameters")
    return number(None if count is None else count / 1e6, digits=2)


def _seeds(one: Summary) -> str:
    return str(len(one["seeds"]))


def _paper_columns(
    found: Mapping[str, Summary], paper: Mapping[tuple[str, str], Table]
) -> tuple[list[Column], str]:
    places, rows = {}, {}
    for name, one in found.items():
        places[name], rows[one["experiment"]] = quoted_for(
            paper,
            data_set=one["experiment"].split("/")[0],
            backbone=of_backbone(one),
            experiment=name,
        )
    if not any(rows.values()):
        return [], ""

    def cell(key: str) -> Callable[[Summary], str]:
        def quoted(one: Summary) -> str:
            row: Quoted | None = rows[one["experiment"]]
            return NOTHING if row is None else number(getattr(row, key))

        return quoted

    shown = {"r1": "R@1", "rsum": "R-Sum", "gflops": "multiply-adds (G)"}
    where = " and ".join(sorted({places[name] for name in found}))
    note = f" Columns marked *paper* are quoted, not ours: text to video on {where}"
    if not any(one["experiment"].split("/")[0] in where for one in found.values()):
        note += ", another data set: only the shape can be compared"
    return [(f"*paper:* {label}", cell(key)) for key, label in shown.items()], f"{note}."
