"""Accidents to the files of an index, and to videos: nothing wrong may be answered silently."""

from __future__ import annotations

import json
import random
import select
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from soak_films import MODEL, QUERY, damaged, film, films, start
from tempme.errors import TempmeError

SECONDS_PER_CASE = 300
REPAIR_EVERY = 5
TOLD_EVERY = 100
EQUAL = 2e-4
KEPT = ("index.json", "model")


class Reader:
    """A process that opens indexes and answers; another takes its place when it dies."""

    def __init__(self) -> None:
        self.slowest_seconds = 0.0
        self._process: subprocess.Popen[str] | None = None

    def ask(self, folder: Path, what: str) -> dict[str, Any]:
        """Its answer, or how it ended."""
        process = self._process or self._begin()
        assert process.stdin is not None
        assert process.stdout is not None
        begin = time.monotonic()
        process.stdin.write(json.dumps([str(folder), what]) + "\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS_PER_CASE)
        line = process.stdout.readline() if ready else ""
        self.slowest_seconds = max(self.slowest_seconds, time.monotonic() - begin)
        if line:
            answer: dict[str, Any] = json.loads(line)
            return answer
        process.kill()
        self._process = None
        return {"kind": f"ended with {process.wait()}" if ready else "hung"}

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def _begin(self) -> subprocess.Popen[str]:
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self._process


def index_files(folder: Path, number: int, chance: random.Random) -> dict[str, Any]:
    """Damage one file of a whole index, `number` times, and ask it something."""
    clips, whole = films(folder / "films", 6, chance), folder / "whole.tempme"
    run = start("index", clips, "--index", whole, "--model", MODEL)
    _, err = run.communicate(timeout=600)
    assert run.returncode == 0, err
    reader = Reader()
    reference = reader.ask(whole, "search")["hits"]
    counts: Counter[str] = Counter()
    for case in range(number):
        copy = folder / "copy.tempme"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole, copy)
        what = _spoil(copy, chance)
        own = " with its own model" if what[0].startswith("model") else ""
        answer = reader.ask(copy, f"search{own}")
        verdict = _verdict(answer, reference)
        counts[verdict] += 1
        if verdict in ("wrong", "raw error", "crash", "hung"):
            print(verdict, what, str(answer)[:300], flush=True)
        if case % REPAIR_EVERY == 0 and what[0].split("/")[0] not in KEPT:
            _repair(reader, copy, reference, what, counts)
        if case % TOLD_EVERY == TOLD_EVERY - 1:
            print(case + 1, dict(counts), flush=True)
    reader.close()
    return {**counts, "slowest_answer_seconds": round(reader.slowest_seconds, 1)}


def _spoil(copy: Path, chance: random.Random) -> tuple[str, str]:
    """Damage or remove one file; sometimes the snapshot is gone, too, so that tables are read."""
    if chance.random() < 0.6:
        (copy / "scan.npz").unlink()
    files = sorted(path for path in copy.rglob("*") if path.is_file() and path.name != "lock")
    places = sorted({path.relative_to(copy).parts[0] for path in files})
    inside = chance.choice(places)  # the model has most bytes and files
    path = chance.choice([f for f in files if f.relative_to(copy).parts[0] == inside])
    if chance.random() < 0.1:
        path.unlink()
        return str(path.relative_to(copy)), "removed"
    kind, content = damaged(path.read_bytes(), chance)
    path.write_bytes(content)
    return str(path.relative_to(copy)), kind


def _verdict(answer: dict[str, Any], reference: list[Any]) -> str:
    if answer["kind"] == "answered":
        known = {hit[0]: hit for hit in reference}
        found = {hit[0] for hit in answer["hits"]}
        is_right = all(_is_equal(hit, known.get(hit[0])) for hit in answer["hits"])
        if is_right and found | set(answer["left_out"]) >= known.keys():
            return "answered as before" if len(found) == len(known) else "left out, and said"
        return "wrong"
    if answer["kind"] in ("refused", "raw error"):
        return "refused in one line" if answer["kind"] == "refused" else "raw error"
    return "hung" if answer["kind"] == "hung" else "crash"


def _is_equal(hit: list[Any], other: list[Any] | None) -> bool:
    return other is not None and all(
        abs(a - b) < EQUAL for a, b in zip(hit[1:], other[1:], strict=True)
    )


def _repair(
    reader: Reader, copy: Path, reference: list[Any], what: object, counts: Counter[str]
) -> None:
    answer = reader.ask(copy, "repair")
    verdict = _verdict(answer, reference)
    good = verdict == "answered as before"
    counts["repaired" if good else "not repaired"] += 1
    if not good:
        print("not repaired", what, str(answer)[:600], flush=True)


def videos(folder: Path, number: int, chance: random.Random) -> dict[str, Any]:
    """Damage `number` videos and index them: each ends in a row, or is named."""
    clips = folder / "damaged"
    clips.mkdir(parents=True)
    for i in range(number):
        path = film(clips / f"{i:04d}.avi", chance)
        path.write_bytes(damaged(path.read_bytes(), chance)[1])
    index = folder / "damaged.tempme"
    run = start("index", clips, "--index", index, "--model", MODEL)
    _, err = run.communicate(timeout=3600)
    rows = json.loads(start("status", "--index", index, "--json").communicate()[0])
    silent = number - rows["num_videos"] - rows["num_failed"]
    return {
        "videos": number,
        "indexed": rows["num_videos"],
        "of_these_with_a_note": len(rows["notes"]),
        "failed_with_a_reason": sum(bool(row["reason"]) for row in rows["failed"]),
        "silent": silent,
        "exit_code": run.returncode,
        "traceback": "Traceback" in err,
    }


def _serve() -> None:
    """Answer questions about indexes, a line each."""
    import tempme
    from tempme.index import Index

    retriever = tempme.load(MODEL)
    for line in sys.stdin:
        name, what = json.loads(line)
        folder = Path(name)
        try:
            given = None if what == "search with its own model" else retriever
            index = Index.open(folder, retriever=given)
            if what == "repair":
                done = index.repair(workers=1)
                if "videos" in done.damage.unreadable:  # as it then says
                    index.add(folder.parent / "films", workers=1)
            hits = index.search(QUERY, 1000)
            index.videos()
            answer = {
                "kind": "answered",
                "hits": [[str(h.path), h.start_seconds, h.end_seconds, h.score] for h in hits],
                "left_out": [str(path) for path in index.left_out()],
            }
        except TempmeError as error:
            answer = {"kind": "refused", "message": str(error)}
        except BaseException as error:
            answer = {"kind": "raw error", "message": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _serve()
