"""One JSON file per run, what it says of the machine it ran on, and what the seeds say together.

results/<data set>/<experiment>/seed-<n>.json    a run
results/<data set>/<experiment>.json             their mean and spread:

python -m tempme.results results/scenes/tempme.json
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from tempme.atomic import replacing
from tempme.errors import BadDataset, TempmeError
from tempme.processes.memory import peak_bytes

PACKAGES = ("torch", "lightning", "av", "numpy", "lancedb")
MEASURED = ("training_seconds", "videos_per_second", "peak_memory_mb")
# Where files are and how many processes read them does not change what is learnt.
OF_THE_MACHINE = (
    "name",
    "data.annotations",
    "data.videos",
    "data.workers",
    "data.worker_memory_mb",
)
# How this program counts what it runs follows its version; the paper's convention never changes.
OF_THE_VERSION = ("gmacs", "gmacs_prompts")
EQUAL = 1e-6  # relative: costs nearer than this are the same

Run = Mapping[str, Any]


@cache
def machine() -> str:
    """A short name for this machine: its processor and how many cores of it."""
    return re.sub(r"[^a-z0-9]+", "-", f"{_processor()} {os.cpu_count()} cores".lower()).strip("-")


def environment() -> dict[str, Any]:
    """Machine, versions and commit."""
    return {
        "machine": machine(),
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "commit": _commit(),
    }


def peak_memory_bytes() -> int:
    """The most memory this process has held; 0 where the system does not tell (Windows)."""
    return peak_bytes() or 0


def write(result: dict[str, Any], path: Path) -> Path:
    """Write a result where it will be read as a whole or not at all."""
    with replacing(path) as draft:
        draft.write_text(json.dumps(result, indent=1, default=str) + "\n", "utf-8")
    return path


def read_runs(folder: Path) -> tuple[Run, ...]:
    """The runs of an experiment, `folder`/seed-*.json, by seed; BadDataset where there is none."""
    paths = sorted(folder.glob("seed-*.json"), key=lambda path: (len(path.stem), path.stem))
    if not paths:
        raise BadDataset(f"{folder} holds no seed-*.json; `tempme train --result` writes them")
    return tuple(read_run(path) for path in paths)


def read_experiments(root: Path) -> dict[str, dict[str, tuple[Run, ...]]]:
    """Every run below `root`: data set -> experiment -> runs.

    Next to the folders of seeds, a file of its own that holds one run counts as an experiment.
    """
    found: dict[str, dict[str, tuple[Run, ...]]] = {}
    for folder in sorted({path.parent for path in root.rglob("seed-*.json")}):
        data_set = folder.parent.relative_to(root).as_posix()
        found.setdefault(data_set, {})[folder.name] = read_runs(folder)
    for path in sorted(root.rglob("*.json")):
        if path.stem.startswith(("seed-", ".")):  # hidden: the draft of a run that was killed
            continue
        document = json.loads(path.read_text("utf-8"))
        if isinstance(document, dict) and {"seed", "metrics", "settings"} <= document.keys():
            data_set = path.parent.relative_to(root).as_posix()
            found.setdefault(data_set, {}).setdefault(path.stem, (document,))
    return found


def summarize(runs: Sequence[Run]) -> dict[str, Any]:
    """Mean and sample standard deviation over the seeds of one experiment.

    Every number that was measured becomes {mean, spread, runs}; the spread of one run is None.
    BadDataset where the runs do not belong together: other settings, other cost, a seed twice.
    """
    first = runs[0]
    for run in runs[1:]:
        _check_alike(first, run)
    seeds = [run["seed"] for run in runs]
    if len(set(seeds)) < len(seeds):
        raise BadDataset(f"{first['experiment']} has a seed twice: {seeds}")
    return {
        "experiment": first["experiment"],
        "seeds": seeds,
        "settings": runs[-1]["settings"],
        "backbone": runs[-1].get("backbone"),
        "metrics": _spread([run["metrics"] for run in runs]),
        "cost": runs[-1]["cost"],
        **{key: _spread([run.get(key) for run in runs]) for key in MEASURED},
        "machines": sorted({run["environment"]["machine"] for run in runs}),
        "torch": sorted({str(run["environment"]["packages"]["torch"]) for run in runs}),
        "commits": sorted({str(run["environment"]["commit"]) for run in runs}),
    }


def read_run(path: Path) -> Run:
    """The run in one file; BadDataset where it is no result of `tempme train`."""
    try:
        run: Run = json.loads(path.read_text("utf-8"))
        for key in ("experiment", "settings", "metrics", "cost", "environment"):
            run[key]
        return {**run, "seed": int(run["seed"])}
    except (OSError, ValueError, KeyError, TypeError) as reason:
        raise BadDataset(f"{path} is not a result of `tempme train`: {reason!r}") from reason


def is_alike(first: Run, other: Run) -> bool:
    """Whether two runs are of one experiment but for their seeds."""
    try:
        _check_alike(first, other)
    except BadDataset:
        return False
    return True


def _check_alike(first: Run, other: Run) -> None:
    """What both say of settings and cost is the same; later versions may say more."""
    spared = {"settings": OF_THE_MACHINE, "cost": OF_THE_VERSION}
    for part, keys in spared.items():
        mine, theirs = dict(_leaves(first[part])), dict(_leaves(other[part]))
        for key in sorted(mine.keys() & theirs.keys()):
            if not key.startswith(keys) and not _equal(mine[key], theirs[key]):
                raise BadDataset(
                    f"{first['experiment']}: seed {first['seed']} has {part}.{key} = {mine[key]}, "
                    f"seed {other['seed']} has {theirs[key]}; runs of one experiment are alike: "
                    f"remove those that are out of date and run them again"
                )


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if not isinstance(value, Mapping):
        yield name, value
        return
    for key, item in value.items():
        yield from _leaves(item, f"{name}.{key}" if name else str(key))


def _equal(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=EQUAL)
    return bool(one == other)


def _spread(values: Sequence[Any]) -> Any:
    """Like the first value, but every number is {mean, spread, runs} of those that are there."""
    given = [value for value in values if value is not None]
    if not given:
        return None
    if isinstance(given[0], Mapping):
        keys = dict.fromkeys(key for value in given for key in value)
        return {key: _spread([value.get(key) for value in given]) for key in keys}
    if isinstance(given[0], int | float) and not isinstance(given[0], bool):
        spread = round(stdev(given), 6) if len(given) > 1 else None
        return {"mean": round(mean(given), 6), "spread": spread, "runs": len(given)}
    return given[0] if all(value == given[0] for value in given) else None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _commit() -> str | None:
    """The commit of the source tree this runs from; None for an installed package."""
    here = Path(__file__).parent
    answer = subprocess.run(
        ["git", "-C", str(here), "rev-parse", "--short", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.stdout.strip() or None


def _main(targets: Sequence[str]) -> int:
    """Write the summaries that are named, each from the folder of its name."""
    try:
        for target in map(Path, targets):
            write(summarize(read_runs(target.with_suffix(""))), target)
    except TempmeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
