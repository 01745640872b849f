"""The card of an adapted retriever: what it was made from, what it gains, and what it is not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tempme.evaluation.agreement import Estimate
from tempme.results.markdown import table
from tempme.retriever.retriever import Retriever


def card(name: str, student: Retriever, report: Mapping[str, Any]) -> str:
    """Markdown; nothing of the videos but their number is in it."""
    origin = Path(student.origin).name
    parts = [
        "---\nlibrary_name: tempme\ntags: [tempme, text-video-retrieval, video-search]\n---",
        f"# {name}",
        f"`{student.system.name}` of [tempme](https://pypi.org/project/tempme/) on the weights of "
        f"{origin}, adapted without labels (`tempme adapt`): its video encoder merges tokens, and "
        f"learnt the features of the dense model on {report['windows']['learnt']} windows of "
        f"{report['videos']['read']} videos. Its text encoder is that of the dense model.",
        '```python\nimport tempme\n\nretriever = tempme.load("FOLDER")  # this folder\n```',
        "## What it gains",
        *_gains(report),
        "## How far it agrees with the dense model",
        *_agreement(report),
        "It was fitted to one person's videos: on others it may agree less.",
    ]
    return "\n\n".join(parts) + "\n"


def _gains(report: Mapping[str, Any]) -> tuple[str, str]:
    cost, speed = report["cost"], report["speed"]
    gmacs = [f"{cost[f'{kind}_gmacs']:.2f}" for kind in ("dense", "merged")]
    rows = [["multiply-adds of a window (G)", *gmacs]]
    for kind in ("alone", "overlapping"):
        rates = speed[kind]
        rows.append([f"windows/s, {kind}", f"{rates['dense']:.2f}", f"{rates['merged']:.2f}"])
    return (
        table(["", "dense", "merged"], rows),
        f"Measured on {report['machine']}, {speed['threads']} threads, both models in "
        f"turns; overlapping: by half, as in an index.",
    )


def _agreement(report: Mapping[str, Any]) -> tuple[str, str]:
    found = report["agreement"]
    rows = [
        [kind, _spelled(one["cosine"]), _spelled(one["overlap"])] for kind, one in found.items()
    ]
    one = found["adapted"]
    return (
        table(["merged", "cosine", "nearest phrases shared"], rows),
        f"Mean and 95 % confidence interval over {one['num_windows']} windows that it did not "
        f"learn from (they decided when to stop). Shared: of the {one['nearest']} phrases nearest "
        f"to a window, among {one['num_phrases']:,}, how many are so for both models.",
    )


def lines(report: Mapping[str, Any]) -> tuple[str, ...]:
    """The figures for a person at a terminal."""
    cost, alone, shared = report["cost"], *(report["speed"][k] for k in ("alone", "overlapping"))
    told = [
        f"{report['system']['name']}: {cost['merged_gmacs']:.2f} G multiply-adds a window, "
        f"{100 * cost['share']:.0f} % of {cost['dense_gmacs']:.2f}",
        f"{alone['merged']:.2f} windows/s alone, {alone['times']:.2f} times the dense model's "
        f"{alone['dense']:.2f}; {shared['merged']:.2f} overlapping as in an index, "
        f"{shared['times']:.2f} times",
    ]
    for kind, found in report["agreement"].items():
        told.append(
            f"{kind}: cosine {_spelled(found['cosine'])} with the dense model, "
            f"{_spelled(found['overlap'])} of its {found['nearest']} nearest phrases "
            f"({found['num_windows']} windows held out)"
        )
    if not report["helped"]:
        told.append("nothing that was learnt came nearer than merging alone, which is what is kept")
    return tuple(told)


def _spelled(found: Mapping[str, float]) -> str:
    return str(Estimate(**found))
