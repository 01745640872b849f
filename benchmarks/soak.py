"""Attack tempme: kills, damaged indexes and videos, bombs, writers and readers at once.

    make soak                                  all of it (about an hour on two cores)
    python benchmarks/soak.py --kills 40 --index-files 300 --videos 100 --minutes 2

Figures go to results/reliability-MACHINE.json, tables to docs/reliability.md. Exit code 1 if
anything was wrong: a wrong answer, a raw error, a crash, something lost.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeAlias

from soak_crowd import bombs, crowd
from soak_damage import index_files, videos
from soak_kills import kills
from tempme.results.runs import environment, machine

Attack: TypeAlias = Callable[[Path, Any, random.Random], dict[str, Any]]
ATTACKS: Mapping[str, Attack] = {
    "kills": kills,
    "index files": index_files,
    "videos": videos,
    "crowd": crowd,
    "bombs": lambda folder, _, chance: bombs(folder, chance),
}
# What is divided, so that its parts run beside one another.
PARTS = {"kills": 4, "index files": 3}
ROOT = Path(__file__).parents[1]
TARGET = ROOT / "results" / f"reliability-{machine()}.json"
DOCUMENT = ROOT / "docs" / "reliability.md"
# What must not happen, by attack.
NEVER: Mapping[str, tuple[str, ...]] = {
    "kills": (
        "hung",
        "orphan_workers",
        "runs_lost_with_a_worker",
        "ends_in_more_than_one_line",
        "damaged_by_a_kill",
    ),
    "index files": ("wrong", "raw error", "crash", "hung", "not repaired"),
    "videos": ("silent", "exit_code", "traceback"),
    "crowd": ("runs_failed", "errors", "left_out"),
}
TITLES = {
    "kills": "Kills of a run or of its workers",
    "index files": "One file of an index damaged, then a search",
    "videos": "Damaged videos, indexed",
    "crowd": "Two writers and four readers at one index",
    "bombs": "Files made to fill the memory or to block",
}


def main() -> int:
    """Attack, write down, and say whether all held."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--index-files", type=int, default=1000)
    parser.add_argument("--videos", type=int, default=500)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=TITLES, nargs="*", default=list(TITLES))
    parser.add_argument("--at-once", type=int, default=4, help="parts beside one another")
    asked = parser.parse_args()
    numbers = {"kills": asked.kills, "index files": asked.index_files, "videos": asked.videos}
    numbers |= {"crowd": asked.minutes}
    report: dict[str, Any] = {
        "machine": machine(),
        "environment": environment(),
        "seed": asked.seed,
        "attacks": _known_but(asked.only),
    }
    parts = [
        (name, part, place)
        for name in asked.only
        for place, part in enumerate(_split(name, numbers.get(name, 0)))
    ]
    with ProcessPoolExecutor(asked.at_once, mp_context=get_context("spawn")) as processes:
        begun = {processes.submit(_done, *part, asked.seed): part[0] for part in parts}
        for future in as_completed(begun):
            name = begun[future]
            known = report["attacks"].get(name, {})
            report["attacks"][name] = together(known, future.result())
            print(name, report["attacks"][name], flush=True)
            TARGET.write_text(json.dumps(report, indent=1) + "\n", "utf-8")
            DOCUMENT.write_text(rendered(report), "utf-8")
    faults = list(faults_of(report))
    print("\n".join(faults) or "all held")
    return bool(faults)


def _known_but(attacks: Sequence[str]) -> dict[str, Any]:
    """What an earlier run wrote of the other attacks, which stays."""
    if not TARGET.exists():
        return {}
    known = json.loads(TARGET.read_text("utf-8"))["attacks"]
    return {name: figures for name, figures in known.items() if name not in attacks}


def _split(name: str, number: float) -> list[float]:
    """How much each of the parts of an attack does; only what counts cases is divided."""
    count = PARTS.get(name)
    if count is None:
        return [number]
    return [number // count + (place < number % count) for place in range(count)]


def _done(name: str, number: float, place: int, seed: int) -> dict[str, Any]:
    """The figures of a part of an attack, in a folder of its own; where it ended itself, how."""
    begin, chance = time.monotonic(), random.Random(f"{seed} {name} {place}")
    with tempfile.TemporaryDirectory() as folder:
        try:
            figures = ATTACKS[name](Path(folder), number, chance)
        except Exception as error:
            traceback.print_exc()
            figures = {"ended_early": f"{type(error).__name__}: {error}"}
    return {**figures, "seconds": round(time.monotonic() - begin)}


def together(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """The figures of two parts of an attack: sums, of seconds the most, and true if both are."""
    made = dict(one)
    for name, value in other.items():
        if name not in made:
            made[name] = value
        elif isinstance(value, bool):
            made[name] = made[name] and value
        elif name.endswith("seconds"):
            made[name] = max(made[name], value)
        elif isinstance(value, int | float):
            made[name] += value
    return made


def faults_of(report: Mapping[str, Any]) -> list[str]:
    """What happened that must not."""
    found = [
        f"{attack}: {name}: {figures[name]}"
        for attack, figures in report["attacks"].items()
        for name in (*NEVER.get(attack, ()), "ended_early")
        if figures.get(name)
    ]
    wanted = {"kills": "equal_to_undisturbed", "crowd": "whole_in_the_end"}
    found += [
        f"{attack}: {name}: no"
        for attack, name in wanted.items()
        if not report["attacks"].get(attack, {name: True}).get(name)
    ]
    bad = report["attacks"].get("bombs", {}).items()
    return found + [f"bombs: {n}: {b}" for n, b in bad if isinstance(b, dict) and not b["is_well"]]


def rendered(report: Mapping[str, Any]) -> str:
    """The document: a table for every attack."""
    lines = [
        "# Reliability",
        "",
        "What `make soak` did to tempme and what came of it; written by it, from",
        f"`results/{TARGET.name}`. Nothing wrong may be answered silently, nothing finished may be",
        "lost, and every error is one line.",
        "",
        f"Machine: {report['machine']}. Seed {report['seed']}. Not as it should be: "
        f"{len(faults_of(report))}.",
    ]
    for name in filter(report["attacks"].get, TITLES):
        figures = report["attacks"][name]
        lines += ["", f"## {TITLES[name]}", ""]
        if name == "bombs":
            lines += [
                "| file | seconds | within 1 GiB | what is said |",
                "| --- | --- | --- | --- |",
            ]
            lines += [_bomb_row(k, b) for k, b in figures.items() if isinstance(b, dict)]
            continue
        lines += ["| what | number |", "| --- | --- |"]
        lines += [
            f"| {key.replace('_', ' ')} | {_shown(value)} |" for key, value in figures.items()
        ]
    return "\n".join(lines) + "\n"


def _bomb_row(name: str, bomb: Mapping[str, Any]) -> str:
    said = bomb["message"].removeprefix("error: ").replace("|", "\\|") or "answered as before"
    said = re.sub(rf"{tempfile.gettempdir()}/\w+/", "", said)[:120]
    return f"| {name} | {bomb['seconds']} | {_shown(bomb['within_a_gibibyte'])} | {said} |"


def _shown(value: object) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


if __name__ == "__main__":
    sys.exit(main())
