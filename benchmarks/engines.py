"""Videos per second of engines and precisions, TempMe and dense side by side in one run.

Random weights, frames in memory, one video at a time, all in turns. With `--clips FOLDER` also how
near the features of real clips are to fp32: of the shipped model, which has learnt, and of the
random ones. Writes results/benchmarks/<name>-<machine>.json; progress goes to stderr.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

import jobs as benchmark
from tempme.engines.agreement import LIMIT, agreement
from tempme.engines.choice import TORCH, EngineChoice
from tempme.engines.engine import Engine
from tempme.engines.graphs import graphs_of
from tempme.engines.runtimes import SUFFIXES, open_function
from tempme.engines.writers import write_function
from tempme.errors import BadVideo
from tempme.evaluation import timing
from tempme.results import runs as results
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.video import read_video

DENSE, TEMPME = "lora", "tempme"
ALL = ("torch:fp32", "torch:bf16", "onnx:fp32", "onnx:int8", "openvino:fp32", "openvino:bf16")
SHIPPED = "scenes-tiny"
QUERIES = (
    "a person talks to the camera", "a car drives along a road", "an animal runs", "people dance",
    "a red circle moves to the left", "a blue square above a green triangle", "food is cooked",
    "a ball is thrown", "two shapes meet", "water flows",
)  # fmt: skip
NOTES = {
    "over_dense_fp32": "median over rounds of the time of dense in PyTorch's fp32 by that of the "
    "row, same round",
    "speed_up": "the same against dense on the same engine in the same precision",
    "macs_ratio": "multiply-adds of dense by those of TempMe",
    "share_of_ratio": "speed_up / macs_ratio; 0.85 or more is the goal",
    "agreement": "features of real clips against PyTorch in fp32: mean and least cosine, and how "
    "many of the ten best clips of a text are the same; `limit` is where a fingerprint starts to "
    "name the engine",
    "clock": "with one thread, seconds that it was at work, as others use the machine, too",
}


def engine_of(model: Retriever, choice: EngineChoice, threads: int) -> Engine:
    """The image side of a model on an engine."""
    system = model.system
    graphs, suffix = graphs_of(system, model.backbone, words=2), SUFFIXES[choice.engine]
    with TemporaryDirectory() as folder:
        functions = {}
        for name, example in graphs.named().items():
            if name == "texts":
                continue
            path = Path(folder) / f"{name}{suffix}"
            write_function(choice.engine, example, path, choice.precision)
            functions[name] = open_function(choice.engine, path, choice.precision, threads=threads)
    sizes = (system.frames, system.max_words, system.config.embed)
    return Engine(choice.engine, choice.precision, functions, *sizes)


def encoders(options: argparse.Namespace) -> Iterator[tuple[str, str, Any]]:
    """System, engine and precision, and what encodes videos (V, F, 3, S, S)."""
    for name in (DENSE, TEMPME):
        row = zoo.system(name, backbone=options.backbone)
        model = Retriever.build(row, None, seed=0)
        for one in options.engines:
            choice = EngineChoice(*one.split(":"))
            if choice.engine == TORCH:
                ready = model.for_inference(choice.precision, TORCH)
                yield name, one, lambda x, r=ready: r.encode_videos(torch.from_numpy(x)).numpy()
            else:
                yield name, one, engine_of(model, choice, options.threads).encode_videos
            print(f"{name} on {one} is ready", file=sys.stderr, flush=True)


@torch.inference_mode()
def speeds(made: dict[tuple[str, str], Any], backbone: str, rounds: int) -> list[dict[str, Any]]:
    """A row per system, engine and precision."""
    rows = {name: zoo.system(name, backbone=backbone) for name in (DENSE, TEMPME)}
    config = rows[DENSE].config
    shape = (1, rows[DENSE].frames, 3, config.image_size, config.image_size)
    video = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    jobs = {" ".join(key): (lambda e=encode: e(video)) for key, encode in made.items()}
    seconds = timing.in_turns(jobs, rounds=rounds)
    due = rows[DENSE].cost().gmacs / rows[TEMPME].cost().gmacs
    answer = []
    for (name, one), own in zip(made, seconds.values(), strict=True):
        engine, precision = one.split(":")
        faster = timing.ratio(seconds[f"{DENSE} {one}"], own)
        told = {"system": name, "engine": engine, "precision": precision, "backbone": backbone}
        told |= timing.summary(own, videos=1)
        told["over_dense_fp32"] = round(timing.ratio(seconds[f"{DENSE} torch:fp32"], own), 3)
        own_due = due if name == TEMPME else 1.0
        told |= {"speed_up": round(faster, 3), "macs_ratio": round(own_due, 3)}
        told["share_of_ratio"] = round(faster / own_due, 3)
        answer.append(told)
        print(json.dumps(told), file=sys.stderr, flush=True)
    return answer


def clips_in(folder: Path, frames: int, size: int, most: int) -> np.ndarray:
    """Pixels of as many clips as can be read, evenly spread over the folder."""
    paths = sorted(path for path in folder.rglob("*") if path.suffix in (".mp4", ".webm", ".mkv"))
    found = []
    for path in paths[:: max(1, len(paths) // most)][:most]:
        try:
            found.append(read_video(path, frames=frames, size=size))
        except BadVideo as reason:
            print(f"left out {path.name}: {reason}", file=sys.stderr)
    return np.stack(found)


@torch.inference_mode()
def nearness(
    made: dict[tuple[str, str], Any], backbone: str, folder: Path, most: int
) -> list[dict[str, Any]]:
    """How near each is to PyTorch in fp32 on real clips; the texts of random weights are noise."""
    row = zoo.system(DENSE, backbone=backbone)
    model = Retriever.build(row, None, seed=0)
    videos = model.transform(clips_in(folder, row.frames, row.config.image_size, most)).numpy()
    texts = model.encode_texts(QUERIES).numpy()
    exact = {name: made[name, "torch:fp32"](videos) for name in (DENSE, TEMPME)}
    return [
        _told(name, one, len(videos), agreement((exact[name], texts), (encode(videos), texts)))
        for (name, one), encode in made.items()
        if one != "torch:fp32"
    ]


@torch.inference_mode()
def nearness_of_shipped(engines: Sequence[str], folder: Path) -> list[dict[str, Any]]:
    """The same of the shipped model, videos and texts, on all clips."""
    model = Retriever.load(SHIPPED)
    videos = model.transform(clips_in(folder, model.num_frames, model.image_size, 1000))

    def both(ready: Retriever) -> tuple[np.ndarray, np.ndarray]:
        return ready.encode_videos(videos).numpy(), ready.encode_texts(QUERIES).numpy()

    exact = both(model)
    found = []
    for one in engines:
        engine, precision = one.split(":")
        near = agreement(exact, both(model.for_inference(precision, engine)))
        found.append(_told(SHIPPED, one, len(videos), near))
    return found


def _told(name: str, one: str, count: int, near: Any) -> dict[str, Any]:
    engine, precision = one.split(":")
    told = {"model": name, "engine": engine, "precision": precision, "clips": count}
    told |= {key: round(value, 5) for key, value in asdict(near).items()}
    told["is_within_the_limit"] = near.within(LIMIT)
    print(json.dumps(told), file=sys.stderr, flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="ViT-B/32")
    parser.add_argument("--engines", nargs="+", default=list(ALL), help="engine:precision")
    parser.add_argument("--clips", type=Path, help="a folder of real clips")
    parser.add_argument("--most-clips", type=int, default=32, help="of the random models")
    parser.add_argument("--name", default="engines")
    options = benchmark.asked(parser, rounds=5)
    options.engines = list(dict.fromkeys(["torch:fp32", *options.engines]))
    report: dict[str, Any] = {"notes": NOTES, **results.environment(), **benchmark.conditions()}
    made = {(name, one): encode for name, one, encode in encoders(options)}
    report["rows"] = speeds(made, options.backbone, options.rounds)
    target = options.out / f"{options.name}-{results.machine()}.json"
    results.write(report, target)
    if options.clips is not None:
        report["limit"] = asdict(LIMIT)
        near = nearness_of_shipped(options.engines[1:], options.clips)
        report["agreement"] = near + nearness(
            made, options.backbone, options.clips, options.most_clips
        )
        results.write(report, target)
    print(target)


if __name__ == "__main__":
    main()
