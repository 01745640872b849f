"""Train and judge: an experiment -> a retriever and a result, ready for results/."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import tomli_w
import torch

from tempme.atomic import replacing
from tempme.errors import BadSetting
from tempme.evaluation import timing as benchmark
from tempme.experiments.scenes import Scenes, vocabulary
from tempme.experiments.settings import Experiment, SceneData
from tempme.experiments.videos import ExperimentVideos
from tempme.experiments.world import World
from tempme.results.runs import environment, peak_memory_bytes, write
from tempme.retriever.checkpoint import build
from tempme.retriever.retriever import Retriever
from tempme.schedule import total_tokens
from tempme.training import CHECKPOINT, Devices, Fitted, Validation, fit

TIMED_VIDEOS, TIMED_ROUNDS = 8, 5
TEST_LABEL = "weights chosen on the test set, as in the paper"


def run(
    experiment: Experiment,
    *,
    seed: int,
    folder: Path,
    devices: Devices | None = None,
    show_progress: bool = True,
) -> tuple[Retriever, dict[str, Any] | None]:
    """The retriever and its result; the result is None in all processes of a run but one.

    `folder` gets logs, checkpoints, the retriever, result.json, and what the run was:
    experiment.toml with every setting, environment.json, data.json.
    """
    world = open_world(experiment)
    made = experiment.system.system()
    weights = experiment.system.weights
    tokenizer = None if weights else vocabulary(made.max_words)
    retriever = Retriever(build(made, weights, tokenizer=tokenizer, seed=seed)).eval()
    note(experiment, seed, folder)
    begun_in = environment()  # the tree may be another one when the run ends
    started = time.perf_counter()
    batches = world.batches(retriever, experiment.recipe, seed)
    try:
        fitted = fit(
            retriever,
            batches,
            replace(experiment.recipe, steps=world.steps(experiment.recipe)),
            folder=folder,
            seed=seed,
            devices=devices,
            validate=_validation(experiment, world),
            show_progress=show_progress,
        )
    finally:
        world.close()
    seconds = time.perf_counter() - started
    if not fitted.is_main:
        return fitted.retriever, None
    metrics, selection = _judged(experiment, world, fitted)
    retriever.save(folder / "retriever")
    facts = world.facts()
    write(facts, folder / "data.json")
    result = {
        "experiment": experiment.name,
        "seed": seed,
        "settings": asdict(experiment),
        "metrics": metrics,
        "selection": selection,
        "data": facts,
        "cost": asdict(retriever.system.cost())
        | {
            "tokens": total_tokens(retriever.system.plan()),
            "trainable_parameters": made.trainable_parameters(),
        },
        "steps": fitted.steps,
        "training_seconds": round(seconds, 1),
        "videos_per_second": round(videos_per_second(retriever), 2),
        "peak_memory_mb": peak_memory_mb(),
        "history": fitted.history.curve(),
        "validations": fitted.history.validations,
        "environment": begun_in | {"threads": torch.get_num_threads()},
    }
    write(result, folder / "result.json")
    return retriever, result


def open_world(experiment: Experiment) -> World:
    """Where the videos and captions of an experiment come from."""
    data = experiment.data
    if isinstance(data, SceneData):
        return Scenes(data, experiment.evaluation.gallery)
    return ExperimentVideos(data)


def note(experiment: Experiment, seed: int, folder: Path) -> None:
    """Write what the run is before it begins: settings as they were resolved, and the machine.

    A folder that holds a run of other settings is refused: the two would be mixed.
    """
    tables = {name: table for name, table in asdict(experiment).items() if name != "name"}
    text = f"# {experiment.name}, seed {seed}\n" + tomli_w.dumps(_without_none(tables))
    path = folder / "experiment.toml"
    try:
        if (folder / CHECKPOINT).exists() and path.exists() and path.read_text("utf-8") != text:
            raise BadSetting(
                f"{folder} holds a run of other settings (see {path.name} there): give another "
                "folder, or remove this one"
            )
        with replacing(path) as draft:
            draft.write_text(text, "utf-8")
        write(environment(), folder / "environment.json")
    except OSError as reason:
        raise BadSetting(f"cannot write to {folder}: {reason.strerror or reason}") from reason


def rsum(metrics: Mapping[str, Any]) -> float:
    """R@1 + R@5 + R@10 of text to video, over all parts: what weights are chosen by."""
    return sum(float(scores["t2v"]["rsum"]) for scores in metrics.values())


def videos_per_second(retriever: Retriever) -> float:
    """Videos that the trained encoder takes in fp32, eight at a time, in the fastest round."""
    job = benchmark.encoding(retriever.for_inference("fp32"), TIMED_VIDEOS)
    seconds = benchmark.in_turns({"": job}, rounds=TIMED_ROUNDS)[""]
    return TIMED_VIDEOS / min(seconds)  # other work on the machine only ever slows


def peak_memory_mb() -> int:
    """The most memory this process has held: of the GPU where there is one."""
    if torch.cuda.is_available():
        return round(torch.cuda.max_memory_allocated() / 2**20)
    return round(peak_memory_bytes() / 2**20)


def _validation(experiment: Experiment, world: World) -> Validation | None:
    """What weights are chosen by; nothing where the last ones are taken and none is asked for."""
    select, every = experiment.evaluation.select, experiment.recipe.validate_every
    if select == "last" and not every:
        return None
    question = world.judge if select == "test" else world.validate

    def validate(retriever: Retriever) -> tuple[float, Mapping[str, float]]:
        metrics = question(retriever)
        return rsum(metrics), {f"{part}_r1": s["t2v"]["r1"] for part, s in metrics.items()}

    return validate


def _judged(
    experiment: Experiment, world: World, fitted: Fitted
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics of the weights that were chosen, and those of the last beside them."""
    select = experiment.evaluation.select
    metrics = world.judge(fitted.retriever)
    selection: dict[str, Any] = {"by": select}
    if fitted.best_score is not None:
        selection |= {"last": metrics, "best_score": fitted.best_score}
        if select != "last":
            metrics = world.judge(fitted.take_best())
            selection["best"] = metrics
    if select == "test":
        selection["label"] = TEST_LABEL
    return metrics, selection


def _without_none(table: Mapping[str, Any]) -> dict[str, Any]:
    """TOML has no null: what is None is left out. Its keys are strings."""
    return {
        str(key): _without_none(value) if isinstance(value, Mapping) else value
        for key, value in table.items()
        if value is not None
    }
