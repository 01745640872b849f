"""Train a model to answer questions, and judge it: an experiment -> an Answerer and a result."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from tempme.backbones.sizes import Sizes, backbone_name
from tempme.errors import BadSetting, TempmeError
from tempme.evaluation import timing as benchmark
from tempme.experiments.asking import QuestionWorld
from tempme.experiments.identity import DATA, RESULT, note
from tempme.experiments.run import TIMED_ROUNDS, TIMED_VIDEOS, result_of
from tempme.experiments.scene_questions import AskedScenes
from tempme.experiments.scenes import vocabulary
from tempme.experiments.settings import Experiment, SceneQuestions, VideoData
from tempme.experiments.video_questions import AskedVideos
from tempme.results.runs import environment, write
from tempme.retriever.answerer import Answerer, is_answerer
from tempme.retriever.checkpoint import backbone_of
from tempme.training import Devices, Fitted, fit

ANSWERER = "answerer"  # of a run's folder


def run_questions(
    experiment: Experiment,
    *,
    seed: int,
    folder: Path,
    devices: Devices | None = None,
    show_progress: bool = True,
    tell: Callable[[str], None] | None = None,
) -> tuple[Answerer, dict[str, Any] | None]:
    """As `run`, for questions: the model, and its result in one process of all."""
    world = open_questions(experiment)
    told = world.check()
    model, experiment = _started(experiment, world, seed)
    note(experiment, seed, world.facts(), folder)
    for line in told:
        if tell is not None:
            tell(line)
    begun_in = environment()
    started_at = time.perf_counter()
    batches = world.batches(model, experiment.recipe, seed)
    try:
        fitted = fit(
            model,
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
        system=model.system,
        learning=sum(p.numel() for p in model.backbone.parameters() if p.requires_grad),
        judged={"metrics": metrics, "selection": selection, "data": world.facts()},
        seconds=seconds,
        rate=videos_per_second(model),
        begun_in=begun_in,
    )
    write(result["data"], folder / DATA)
    write(result, folder / RESULT)
    return model, result


def open_questions(experiment: Experiment) -> QuestionWorld:
    """Where the questions of an experiment come from."""
    data = experiment.data
    if isinstance(data, SceneQuestions):
        return AskedScenes(data, experiment.evaluation.gallery)
    if not experiment.asks or not isinstance(data, VideoData):
        raise BadSetting(f"{data.name} has captions, not questions: use `run`")
    return AskedVideos(data)


def videos_per_second(model: Answerer) -> float:
    """Videos that the encoder takes, eight at a time, in the fastest round."""
    size = model.image_size
    frames = torch.randn(TIMED_VIDEOS, model.num_frames, 3, size, size, device=model.device)

    @torch.inference_mode()
    def job() -> None:
        model.watch(frames)

    seconds = benchmark.in_turns({"": job}, rounds=TIMED_ROUNDS)[""]
    return TIMED_VIDEOS / min(seconds)  # other work on the machine only ever slows


def lines_of(metrics: Mapping[str, Any]) -> list[str]:
    """What was found, for a person: each part, and its types of questions."""
    lines = []
    for part, found in metrics.items():
        kinds = ", ".join(
            f"{kind} {one['percent']:.1f} % of {one['num_questions']:,}"
            for kind, one in found["by_type"].items()
        )
        lines.append(f"{part}: {found['accuracy']:.1f} % of {found['num_questions']:,} ({kinds})")
    return lines


def _started(
    experiment: Experiment, world: QuestionWorld, seed: int
) -> tuple[Answerer, Experiment]:
    asked = experiment.system
    if asked.continue_from:
        raise BadSetting(
            "system.continue_from is of retrieval: give what the model begins with as "
            "system.weights, a file of UMT, a saved answerer or a saved retriever"
        )
    weights = asked.weights
    found = None if weights is None or asked.backbone else _backbone_of(weights)
    made = asked.system(found)
    words = vocabulary(made.config.context, made.config) if weights is None else None
    model = Answerer.build(made, weights, world.answers, tokenizer=words, seed=seed)  # type: ignore[arg-type]
    told = replace(
        asked, frames=made.frames, max_words=made.max_words, backbone=backbone_name(made.config)
    )
    return model, replace(experiment, system=told)


def _backbone_of(weights: str) -> str | Sizes:
    if not is_answerer(weights):
        return backbone_of(weights)
    sizes = Answerer.load(weights).system.config
    return backbone_name(sizes) or sizes


def _validation(
    experiment: Experiment, world: QuestionWorld
) -> Callable[[Answerer], tuple[float, Mapping[str, float]]] | None:
    select, every = experiment.evaluation.select, experiment.recipe.validate_every
    if select == "last" and not every:
        return None
    question = world.judge if select == "test" else world.validate

    def validate(model: Answerer) -> tuple[float, Mapping[str, float]]:
        found = {part: float(one["accuracy"]) for part, one in question(model).items()}
        return sum(found.values()) / len(found), found

    return validate


def _saved_and_judged(
    experiment: Experiment, world: QuestionWorld, fitted: Fitted[Answerer]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the chosen weights answer; they are saved before they are judged."""
    place, selection = fitted.folder / ANSWERER, {"by": experiment.evaluation.select}
    try:
        if fitted.best_score is not None and experiment.evaluation.select != "last":
            fitted.take_best()
        fitted.retriever.save(place)
        return world.judge(fitted.retriever), selection
    except TempmeError as reason:
        raise type(reason)(f"{reason} (what was learnt is in {fitted.folder})") from reason
