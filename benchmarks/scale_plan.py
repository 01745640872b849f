"""Measured figures -> the worked plans of docs/scale.md: `python benchmarks/scale_plan.py`.

Every number in the plans is measured (results/benchmarks), an assumption that is named beside it,
or the product of such. Prices are those of the reader: give --core-hour and --gb-month.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results" / "benchmarks"
MACHINE = "amd-epyc-2-cores"
PAGE = ROOT / "docs" / "scale.md"
BEGIN, END = "<!-- plan -->", "<!-- /plan -->"
# Assumed: a video is 6 minutes; the published model; a frame a second, windows half overlapping.
VIDEO_SECONDS, FRAMES, WIDTH = 360, 12, 512
SIZES = (10**6, 10**8)
CORES_PER_MACHINE, DAYS = 64, 30
GB = 1e9
# hnswlib's layout: 2 M neighbours of 4 bytes in the lowest layer, a little more above it.
HNSW_BYTES = 4 * 2 * 16 * 1.1


@dataclass(frozen=True)
class Figures:
    """What was measured on one core, by the hour of video."""

    encode_seconds: float
    decode_seconds: float

    @classmethod
    def read(cls) -> Figures:
        """From the results of the encoder, of overlapping windows, and of the decoder."""
        rows = _rows(f"encoder-systems-{MACHINE}.json")
        wanted = {"system": "tempme", "backbone": "ViT-B/32", "precision": "bf16"}
        (row,) = [one for one in rows if wanted.items() <= one.items()]
        overlap = _rows(f"overlap-{MACHINE}.json")[0]
        share = overlap["half"] / overlap["half_each_alone"]
        windows = 3600 / (FRAMES / 2)
        decode = json.loads((RESULTS / f"decode-{MACHINE}.json").read_text())
        drawn = decode["drawn"]["h264 360p, groups of 250"]
        seconds = drawn["sequential_cpu_seconds"] * drawn["auto_ratio"][0]
        return cls(
            windows / row["videos_per_second"] * share, 3600 / decode["drawn_seconds"] * seconds
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--core-hour", type=float, default=0.04, help="price of a core for an hour")
    parser.add_argument("--gb-month", type=float, default=0.023, help="price of a stored GB")
    asked = parser.parse_args()
    text = PAGE.read_text("utf-8")
    head, _, rest = text.partition(BEGIN)
    tail = rest.partition(END)[2]
    body = "\n".join(_plan(Figures.read(), asked.core_hour, asked.gb_month))
    PAGE.write_text(f"{head}{BEGIN}\n{body}\n{END}{tail}", "utf-8")


def _plan(figures: Figures, core_hour: float, gb_month: float) -> Iterator[str]:
    yield from ("", "## Measured", "")
    yield from _measured()
    per_hour = figures.encode_seconds + figures.decode_seconds
    yield from (
        "",
        "## Two plans",
        "",
        "Written by `benchmarks/scale_plan.py` from `results/benchmarks`. Assumed: a video is "
        f"{VIDEO_SECONDS // 60} minutes of 360p in H.264; TempMe on ViT-B/32; a frame a second, "
        f"windows of {FRAMES} frames half overlapping; {CORES_PER_MACHINE} cores a machine; a core "
        f"hour at {core_hour:g} and a GB-month at {gb_month:g} of your currency. On one core of "
        f"{MACHINE} an hour of video takes {figures.decode_seconds:.0f} s to decode and "
        f"{figures.encode_seconds:.0f} s to encode in bf16.",
        "",
        "| | " + " | ".join(f"{size:,} videos" for size in SIZES) + " |",
        "| --- |" + " --- |" * len(SIZES),
    )
    for name, cells in _rows_of_plan(per_hour, core_hour, gb_month):
        yield f"| {name} | " + " | ".join(cells) + " |"
    yield from (
        "",
        "GPUs: none was measured. An encoder that does g windows a second takes "
        f"{3600 / (FRAMES / 2):.0f} / g GPU seconds for an hour of video; "
        f"beside it, {figures.decode_seconds:.0f} core seconds decode, so that a GPU with "
        f"g = 1,000 keeps {figures.decode_seconds * 1000 * FRAMES / 2 / 3600:.0f} cores busy: "
        "decoding is what such a cluster is sized by.",
        "",
        "What breaks first: at a million, the exact scan, as a machine no longer holds all moments "
        "as floats; from 50,000 moments on the index of the features replaces it, and in object "
        "storage a search takes as long as its requests. At a hundred million, what tempme reads "
        "whole: the rows of all videos, for a filter, and the list of shards, of which a store "
        "tells a thousand at a request; and one graph in memory, where Milvus has DISKANN and "
        "several nodes.",
        "",
    )


def _rows_of_plan(
    per_hour: float, core_hour: float, gb_month: float
) -> Iterator[tuple[str, list[str]]]:
    hours = [size * VIDEO_SECONDS / 3600 for size in SIZES]
    cores = [per_hour * one / 3600 for one in hours]
    moments = [one * 3600 / (FRAMES / 2) for one in hours]
    shards = [count * (2 * WIDTH + 16) / GB for count in moments]
    milvus = [count * (4 * WIDTH + HNSW_BYTES + 80) / GB for count in moments]
    yield "hours of video", [f"{one:,.0f}" for one in hours]
    yield "core hours", [f"{one:,.0f}" for one in cores]
    yield (
        f"machines for {DAYS} days",
        [f"{max(1, one / (24 * DAYS * CORES_PER_MACHINE)):,.0f}" for one in cores],
    )
    yield (
        "cost per 1,000 hours of video",
        [f"{1000 * per_hour / 3600 * core_hour:.2f}"] * len(SIZES),
    )
    yield "moments", [f"{one:,.0f}" for one in moments]
    yield "shards, and LanceDB's tables (GB each)", [f"{one:,.0f}" for one in shards]
    yield "a month of both in object storage", [f"{2 * one * gb_month:,.0f}" for one in shards]
    yield "Milvus: vectors and graph in memory (GB)", [f"{one:,.0f}" for one in milvus]


def _measured() -> Iterator[str]:
    found = json.loads((RESULTS / f"scale-stores-{MACHINE}.json").read_text())
    yield (
        f"`benchmarks/scale.py` on {MACHINE}, {WIDTH} numbers a feature, ten moments a video; a "
        "search is of the ten best videos, recall@10 against a scan of all. `load` is that of the "
        "machine before: 0 is quiet. `milvus` is Milvus Lite, `standalone` Milvus itself, and "
        f"`server` the memory of either. {found.get('note', '')}"
    ).rstrip()
    yield from (
        "",
        "| store | moments | write (s) | build (s) | MB | p50 (ms) | p99 (ms) | recall@10 "
        "| search (MB) | server (MB) | load |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    )
    for row in found["rows"]:
        yield (
            f"| {row['store']} | {row['moments']:,} | {row['write_seconds']:.1f} | "
            f"{row['build_seconds']:.1f} | {_some(row['size_bytes'] / 1e6)} | "
            f"{row['p50_ms']:.0f} | {row['p99_ms']:.0f} | {row['recall_at_10']:.3f} | "
            f"{_some(row.get('search_mb'))} | {_some(row.get('server_mb'))} | {row['load']:.0f} |"
        )
    engines = RESULTS / f"scale-engines-{MACHINE}.json"
    if engines.exists():
        yield from _engines(json.loads(engines.read_text())["rows"])


def _some(number: float | None) -> str:
    """A number, or that there is none: what lies in an object store is not seen on this disk."""
    return f"{number:.0f}" if number else "-"


def _engines(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield from (
        "",
        "Generated videos into shards, with the start of all processes:",
        "",
        "| engine | cores | videos | seconds | videos/s | load |",
        "| --- | --- | --- | --- | --- | --- |",
    )
    for row in rows:
        yield (
            f"| {row['engine']} | {row['cpus']} | {row['videos']} | {row['seconds']:.1f} | "
            f"{row['videos_per_second']:.2f} | {row['load']:.0f} |"
        )
    lines = {key: _line(rows, key) for key in {(row["engine"], row["cpus"]) for row in rows}}
    known = {key: line for key, line in lines.items() if line is not None}
    if not known:
        return
    yield from ("", "From the fewest and the most videos of each, what is constant and what grows:")
    yield from ("", "| engine | cores | start (s) | a video (s) | beside local |")
    yield "| --- | --- | --- | --- | --- |"
    for (engine, cores), (start, each) in sorted(known.items()):
        plain = known.get(("local", cores))
        share = "-" if plain is None or not plain[1] else f"{100 * (each / plain[1] - 1):+.0f} %"
        yield f"| {engine} | {cores} | {start:.1f} | {each:.3f} | {share} |"


def _line(rows: list[dict[str, Any]], key: tuple[str, int]) -> tuple[float, float] | None:
    """Seconds at the start, and for each video, of an engine; None with fewer than two sizes."""
    times = {row["videos"]: row["seconds"] for row in rows if (row["engine"], row["cpus"]) == key}
    few, many = min(times), max(times)
    if few == many:
        return None
    each = (times[many] - times[few]) / (many - few)
    return times[few] - few * each, each


def _rows(name: str) -> list[dict[str, Any]]:
    return list(json.loads((RESULTS / name).read_text())["rows"])


if __name__ == "__main__":
    main()
