"""Writers and readers at one index at once; and files made to fill the memory or to block."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from shutil import copytree, rmtree
from threading import Timer
from typing import Any

import numpy as np
import torch

from soak_films import MODEL, QUERY, disturb, films, start

GIBIBYTE = 1 << 30
BOMB_SECONDS = 120
READER = """
import json, sys, time
import tempme
from tempme.index import Index
retriever = tempme.load(sys.argv[2])
end = time.time() + float(sys.argv[3])
counts = {"searches": 0, "errors": 0, "left_out": 0}
while time.time() < end:
    try:
        index = Index.open(sys.argv[1], retriever=retriever)
        scores = [hit.score for hit in index.search(sys.argv[4], 1000)]
        assert scores == sorted(scores, reverse=True)
        counts["left_out"] += bool(index.left_out())
    except Exception as error:
        counts["errors"] += 1
        print(type(error).__name__, error, file=sys.stderr)
    counts["searches"] += 1
    time.sleep(0.2)
print(json.dumps(counts))
"""


def crowd(folder: Path, minutes: float, chance: random.Random) -> dict[str, Any]:
    """Two writers and four readers at one index, while the films change."""
    clips, index = films(folder / "films", 12, chance), folder / "crowd.tempme"
    _, err = start("index", clips, "--index", index, "--model", MODEL).communicate(timeout=600)
    assert (index / "index.json").exists(), err
    words = [sys.executable, "-c", READER, str(index), MODEL, str(60 * minutes), QUERY]
    readers = [subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    counts: Counter[str] = Counter()
    end = time.monotonic() + 60 * minutes
    while time.monotonic() < end:
        writers = [start("index", clips, "--index", index, "--prune") for _ in range(2)]
        disturb(clips, chance)
        for writer in writers:
            _, err = writer.communicate(timeout=600)
            busy = writer.returncode == 1 and err.startswith("error: another run is writing")
            counts["runs"] += 1
            counts["runs_told_of_the_other"] += busy
            if writer.returncode and not busy:
                counts["runs_failed"] += 1
                print("writer:", err)
    for reader in readers:
        counts.update(json.loads(reader.communicate(timeout=600)[0]))
    check = start("check", "--index", index)
    check.communicate(timeout=600)
    return {"minutes": minutes, **counts, "whole_in_the_end": check.returncode == 0}


def bombs(folder: Path, chance: random.Random) -> dict[str, Any]:
    """Each is refused, or answered as if it were not there, in time and within a gibibyte."""
    clips, whole = films(folder / "films", 3, chance), folder / "whole.tempme"
    _, err = start("index", clips, "--index", whole, "--model", MODEL).communicate(timeout=600)
    assert (whole / "index.json").exists(), err
    outcome = {}
    for name, make in BOMBS.items():
        copy = folder / "bomb.tempme"
        rmtree(copy, ignore_errors=True)
        copytree(whole, copy)
        words = make(copy, clips)
        outcome[name] = _measured(words)
        print(name, outcome[name], flush=True)
    return outcome


def _search(copy: Path) -> list[object]:
    return ["search", QUERY, "--index", copy]


def _large_snapshot(copy: Path, _: Path) -> list[object]:
    """4 GiB of moments of a snapshot, compressed to a few MB."""
    with zipfile.ZipFile(copy / "scan.npz") as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(copy / "scan.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
                for _ in range(4 * 1024 if name == "features.npy" else 0):
                    file.write(bytes(1 << 20))
    return _search(copy)


def _deep_header(copy: Path, _: Path) -> list[object]:
    (copy / "index.json").write_text("[" * 500_000)
    return _search(copy)


def _deep_model(copy: Path, _: Path) -> list[object]:
    (copy / "model" / "system.toml").write_text("a = " + "[" * 200_000)
    return _search(copy)


def _many_features(copy: Path, _: Path) -> list[object]:
    text = json.loads((copy / "index.json").read_text())
    (copy / "index.json").write_text(json.dumps({**text, "features": 10**9}))
    return _search(copy)


def _pipe(name: str) -> Callable[[Path, Path], list[object]]:
    def make(copy: Path, _: Path) -> list[object]:
        (copy / name).unlink(missing_ok=True)
        (copy / name).parent.mkdir(exist_ok=True)
        os.mkfifo(copy / name)
        return _search(copy)

    return make


def _linked_lock(copy: Path, clips: Path) -> list[object]:
    (copy / "lock").unlink()
    (copy / "lock").symlink_to(next(clips.glob("0*.avi")))
    return ["index", clips, "--index", copy]


def _packed_weights(copy: Path, clips: Path) -> list[object]:
    path = copy.parent / "packed.pt"
    torch.save({"a": torch.zeros(1000)}, path)
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in kept.items():
            with archive.open(name, "w", force_zip64=True) as file:
                file.write(content)
                for _ in range(3 * 1024 if name.endswith("/data/0") else 0):
                    file.write(bytes(1 << 20))
    return ["index", clips, "--index", copy.parent / "new.tempme", "--model", path]


def _repeating_weights(copy: Path, clips: Path) -> list[object]:
    path = copy.parent / "repeating.pt"
    torch.save({"a": torch.zeros(1).expand(10**6, 10**6)}, path)
    return ["index", clips, "--index", copy.parent / "new.tempme", "--model", path]


def _deep_weights(copy: Path, clips: Path) -> list[object]:
    path = copy.parent / "deep.safetensors.index.json"
    path.write_text('{"a":' * 200_000)
    return ["index", clips, "--index", copy.parent / "new.tempme", "--model", path]


def _wide_table(copy: Path, _: Path) -> list[object]:
    """A snapshot with numbers that are none, and checksums that are right."""
    with np.load(copy / "scan.npz") as archive:
        arrays = {name: archive[name] for name in archive.files}
    arrays["features"][:] = np.nan
    np.savez(copy / "scan.npz", **arrays)
    return _search(copy)


BOMBS: dict[str, Callable[[Path, Path], list[object]]] = {
    "snapshot of 4 GiB": _large_snapshot,
    "snapshot of NaN": _wide_table,
    "index.json 500,000 deep": _deep_header,
    "index.json of 10^9 features": _many_features,
    "system.toml 200,000 deep": _deep_model,
    "index.json is a pipe": _pipe("index.json"),
    "scan.npz is a pipe": _pipe("scan.npz"),
    "a manifest is a pipe": _pipe("videos.lance/_versions/1.manifest"),
    "weights are a pipe": _pipe("model/weights.safetensors"),
    "lock is a link to a film": _linked_lock,
    "weights that unpack to 3 GiB": _packed_weights,
    "weights that repeat one number 10^12 times": _repeating_weights,
    "shards 200,000 deep": _deep_weights,
}


def _measured(words: list[object]) -> dict[str, Any]:
    """The end of a command, whether its memory stayed small, and what it said."""
    begin = time.monotonic()
    run = start(*words)
    clock = Timer(BOMB_SECONDS, run.kill)
    clock.start()
    with closing(run.stdout), closing(run.stderr):
        err = run.stderr.read() if run.stderr else ""
    _, status, usage = os.wait4(run.pid, 0)
    clock.cancel()
    code = run.returncode = os.waitstatus_to_exitcode(status)
    is_small = usage.ru_maxrss * 1024 < GIBIBYTE
    lines = [line for line in err.splitlines() if line.startswith("error: ")]
    return {
        "exit_code": code,
        "seconds": round(time.monotonic() - begin, 1),
        "within_a_gibibyte": is_small,
        "message": lines[0][:300] if lines else "",
        "is_well": code in (0, 1) and "TRACEBACK" not in err.upper() and is_small,
    }
