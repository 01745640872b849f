"""`benchmarks/budget.toml`: what starting a verb and searching a large index may cost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tempme
from index_material import write_films
from lists_material import put, queries_about, store_in, view_of_store
from tempme.index import Index
from tempme.index.lists.answers import answer
from tempme.index.lists.opened import CATALOG, FOLDER
from tempme.index.search import Request, Scan

ROOT = Path(__file__).parents[1]
BUDGET = tomllib.loads((ROOT / "benchmarks" / "budget.toml").read_text("utf-8"))
RUN = """
import os, sys
import tempme.cli
sys.argv = ["tempme", *sys.argv[1:]]
try:
    tempme.cli.main()
except SystemExit as end:
    code = end.code
used = os.times()
print(used.user + used.system, code or 0, *sys.modules, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("budget")
    made = Index.create(folder / "films.tempme", tempme.load("scenes-tiny"))
    made.add(write_films(folder / "films"), workers=1)
    return made.path


@pytest.mark.parametrize("name", BUDGET["verbs"])
def test_a_verb_starts_within_its_budget(index: Path, name: str) -> None:
    """Seconds of the processor, which other processes hardly change, and a limit far above."""
    budget = BUDGET["verbs"][name]
    words = [str(index) if word == "INDEX" else word for word in budget["words"]]
    command = [sys.executable, "-c", RUN, *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, env=environment)
    seconds, code, *modules = done.stderr.splitlines()[-1].split()
    assert code == "0", done.stderr
    assert not {*budget["never_loads"]}.intersection(modules)
    assert float(seconds) < budget["cpu_seconds"]


@pytest.mark.slow
def test_an_index_with_lists_stays_within_its_budget(tmp_path: Path) -> None:
    budget = BUDGET["lists"]
    store = store_in(tmp_path / "a.tempme")
    count = budget["moments"] // 6
    put(store, range(count))
    store.tidy()
    view, scan = view_of_store(store), Scan(store.gallery())
    assert view.num_moments > 0.9 * budget["moments"]
    assert view.scanned < budget["rows_looked_at"] * view.num_moments
    found = []
    for number in range(0, count, count // 20):
        query = queries_about([number], seed=number)
        exact = {hit.moment_id for hit in scan.hits(query, Request(10))}
        hits = {hit.moment_id for hit in answer(view, query, Request(10))}
        found.append(len(exact & hits) / len(exact))
    assert np.mean(found) >= budget["recall_at_10"]
    features = 2 * view.memory.features.shape[1] * view.num_moments
    assert size_of(store.folder) < budget["folder_over_features"] * features
    before = {path: path.stat().st_ino for path in (store.folder / FOLDER).iterdir()}
    whole = size_of(store.folder / FOLDER)
    put(store, range(count, count + count // 100))
    store.tidy()
    new = [path for path in (store.folder / FOLDER).iterdir() if path not in before]
    assert new
    assert all(path.stat().st_ino == before[path] for path in before if path.name != CATALOG)
    assert sum(path.stat().st_size for path in new) < budget["grown_bytes"] * whole


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("moments", BUDGET["measured"])
def test_what_was_measured_is_within_the_budget(moments: str) -> None:
    limits = BUDGET["measured"][moments]
    files = sorted((ROOT / "results" / "benchmarks").glob("search-*.json"))
    assert files
    for path in files:
        rows = {
            row["asked"]: row
            for row in json.loads(path.read_text("utf-8"))["rows"]
            if row["moments"] == int(moments.replace("_", ""))
        }
        if not rows:
            pytest.skip(f"{path.name} has no run with {moments} moments")
        videos: dict[str, Any] = rows["videos"]
        assert rows["windows"]["p50_ms"] <= limits["windows_p50_ms"]
        for key in limits.keys() - {"windows_p50_ms", "recall"}:
            assert videos[key] <= limits[key], key
        assert videos["recall"] >= limits["recall"]
