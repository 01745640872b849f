"""Train and judge: an experiment -> a retriever and a result, ready for results/."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from tempme.backbones.sizes import backbone_name
from tempme.errors import BadSetting, TempmeError
from tempme.evaluation import timing as benchmark
from tempme.experiments.identity import DATA, RESULT, RETRIEVER, note
from tempme.experiments.scenes import Scenes
from tempme.experiments.settings import Experiment, SceneData, VideoData
from tempme.experiments.start import started
from tempme.experiments.videos import ExperimentVideos
from tempme.experiments.world import World
from tempme.results.runs import environment, peak_memory_bytes, write
from tempme.retriever.retriever import Retriever
from tempme.schedule import total_tokens
from tempme.systems.system import System
from tempme.training import Devices, Fitted, Validation, fit

TIMED_VIDEOS, TIMED_ROUNDS = 8, 5
TEST_LABEL = "weights chosen on the test set, as in the paper"


def run(
    experiment: Experiment,
    *,
    seed: int,
    folder: Path,
    devices: Devices | None = None,
    show_progress: bool = True,
    tell: Callable[[str], None] | None = None,
) -> tuple[Retriever, dict[str, Any] | None]:
    """The retriever and its result; the result is None in all processes of a run but one.

    `folder` gets logs, checkpoints, the retriever, result.json, and what the run was:
    experiment.toml with every setting, environment.json, data.json. All that the end needs is
    looked at before the beginning, and what was learnt is saved before it is judged. `tell` hears
    what of each split is used and left out, and what a person has to know of lengths.
    """
    world = open_world(experiment)
    told = world.check(_judged_splits(experiment))
    retriever, experiment = started(experiment, seed)
    note(experiment, seed, world.facts(), folder)
    for line in (*told, experiment.lengths_elsewhere, world.cut_texts(retriever)):
        if line and tell is not None:
            tell(line)
    begun_in = environment()  # the tree may be another one when the run ends
    started_at = time.perf_counter()
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
    seconds = time.perf_counter() - started_at
    if not fitted.is_main:
        return fitted.retriever, None
    metrics, selection = _saved_and_judged(experiment, world, fitted)
    result = result_of(
        experiment,
        fitted,
        seed=seed,
        system=retriever.system,
        learning=retriever.system.trainable_parameters(),
        judged={"metrics": metrics, "selection": selection, "data": world.facts()},
        seconds=seconds,
        rate=videos_per_second(retriever),
        begun_in=begun_in,
    )
    write(result["data"], folder / DATA)
    write(result, folder / RESULT)
    return retriever, result


def result_of(
    experiment: Experiment,
    fitted: Fitted[Any],
    *,
    seed: int,
    system: System,
    learning: int,
    judged: Mapping[str, Any],
    seconds: float,
    rate: float,
    begun_in: Mapping[str, Any],
) -> dict[str, Any]:
    """The document of a run, of whatever was learnt.

    system: what was built, whatever the settings call it, with `learning` numbers that learn.
    judged: metrics, selection and data. rate: videos that it encodes in a second.
    """
    sizes = {"tokens": total_tokens(system.plan()), "trainable_parameters": learning}
    return {
        "experiment": experiment.name,
        "seed": seed,
        "settings": asdict(experiment),
        **judged,
        "backbone": backbone_name(system.config) or asdict(system.config),
        "cost": asdict(system.cost()) | sizes,
        "steps": fitted.steps,
        "training_seconds": round(seconds, 1),
        "videos_per_second": round(rate, 2),
        "peak_memory_mb": peak_memory_mb(),
        "history": fitted.history.curve(),
        "validations": fitted.history.validations,
        "environment": {**begun_in, "threads": torch.get_num_threads()},
    }


def open_world(experiment: Experiment) -> World:
    """Where the videos and captions of an experiment come from."""
    data = experiment.data
    if isinstance(data, SceneData):
        return Scenes(data, experiment.evaluation.gallery)
    if experiment.asks or not isinstance(data, VideoData):
        raise BadSetting(f"{data.name} has questions: learn to answer them with `run_questions`")
    return ExperimentVideos(data)


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


def _judged_splits(experiment: Experiment) -> list[str]:
    """The splits that will be encoded, now and then or in the end."""
    select = experiment.evaluation.select
    asks = select == "validation" or (select == "last" and experiment.recipe.validate_every)
    return ["test", "validation"] if asks else ["test"]


def _saved_and_judged(
    experiment: Experiment, world: World, fitted: Fitted[Retriever]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Metrics of the weights that were chosen, and those of the last beside them.

    Weights are saved before they are judged: whatever that meets, they are there.
    """
    select = experiment.evaluation.select
    place = fitted.folder / RETRIEVER
    selection: dict[str, Any] = {"by": select}
    try:
        fitted.retriever.save(place)
        metrics = world.judge(fitted.retriever)
        if fitted.best_score is not None:
            selection |= {"last": metrics, "best_score": fitted.best_score}
            if select != "last":
                fitted.take_best().save(place)
                metrics = world.judge(fitted.retriever)
                selection["best"] = metrics
    except TempmeError as reason:
        raise type(reason)(
            f"{reason} (what was learnt is in {fitted.folder}; with this mended the same command "
            f"goes on from there)"
        ) from reason
    if select == "test":
        selection["label"] = TEST_LABEL
    return metrics, selection
