"""Adapt: videos and a dense model -> a saved retriever that merges, and what that gained."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from tempme.adapting.card import card
from tempme.adapting.keeping import Folder, identity
from tempme.adapting.learning import Lessons, learn, score
from tempme.adapting.measuring import Floats, costs, features_of, speeds
from tempme.adapting.models import dense_model, merging_model, row_for
from tempme.adapting.settings import Adapting
from tempme.adapting.windows import Decoding, Sample, held_out, learnt, sample_windows
from tempme.errors import BadSetting, BadVideo
from tempme.evaluation.agreement import agreement
from tempme.index.building.scan import given_paths
from tempme.index.judging import background_of
from tempme.index.lock import writing
from tempme.results.runs import machine
from tempme.retriever.described import to_toml
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.training import BEST, weights_of

LEAST_LEARNT, LEAST_HELD_OUT = 4, 2

# Shows how many are done of how many, under a name.
Counting = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def adapt(
    paths: Iterable[str | Path] | str | Path,
    model: str | Path,
    out: str | Path,
    settings: Adapting | None = None,
    *,
    decoding: Decoding | None = None,
    counting: Counting = lambda _: nullcontext(lambda *_: None),
    show_progress: bool = False,
) -> dict[str, Any]:
    """Write a retriever to `out` that merges, and has learnt to agree with `model` on the videos.

    Returns what was gained, as plain values (`adapted.json`). A run that was cut off goes on, and
    ends as one that was not; of a finished one the report is told again. BadSetting where `out`
    holds something else, BadVideo where the videos give too few windows.
    """
    settings, folder = settings or Adapting(), Folder(Path(out).expanduser())
    given = given_paths(paths)
    if missing := [path for path in given if not os.path.lexists(path)]:
        raise BadSetting(f"no such file or folder: {missing[0]}")
    asked = identity(settings, named(model), [os.path.realpath(path) for path in given])
    folder.check(asked)
    if (report := folder.report()) is not None:
        return report
    teacher = dense_model(model)
    row = row_for(teacher, settings.system, settings.budget)
    merging_model(teacher, row)  # refuses what cannot be, before anything is written
    folder.make()
    with writing(folder.run, what="the run in"):
        folder.claim(asked)
        sample = folder.sample()
        if sample is None:
            sample = _sampled(given, teacher, settings, decoding, counting)
            folder.keep(sample)
        report = _adapted(teacher, row, sample, settings, folder, counting, show_progress)
        report = {"model": named(model), "out": str(folder.path), **report}
        folder.finish(report, card(folder.path.name, Retriever.load(folder.path), report))
    return report


def _adapted(
    teacher: Retriever,
    row: System,
    sample: Sample,
    settings: Adapting,
    folder: Folder,
    counting: Counting,
    show_progress: bool,
) -> dict[str, Any]:
    """Learn and save; what that gained."""
    begin = time.monotonic()
    student, dense = merging_model(teacher, row, seed=settings.seed), teacher.for_inference("fp32")
    lessons, untrained = _lessons(dense, student, sample, folder, counting)
    end = folder.end() or _learnt(student, lessons, settings, folder, show_progress)
    start = score(lessons, untrained)
    if end["best_score"] > start:
        student.load_state_dict(weights_of(folder.run / BEST), strict=False)
    else:  # nothing that was learnt came nearer than merging alone
        student = merging_model(teacher, row, seed=settings.seed)
    student.save(folder.path)
    seconds = round(time.monotonic() - begin, 1)
    report = _report(dense, Retriever.load(folder.path), sample, lessons, untrained)
    told = {"untrained_score": start, "helped": bool(end["best_score"] > start)}
    return {**report, **end, **told, "seconds": seconds}


def named(model: str | Path) -> str:
    """The name of a model, the same from wherever it is given."""
    return os.path.realpath(model) if Path(model).exists() else str(model)


def _sampled(
    given: tuple[Path, ...],
    teacher: Retriever,
    settings: Adapting,
    decoding: Decoding | None,
    counting: Counting,
) -> Sample:
    with counting("reading videos") as show:
        sample = sample_windows(
            given,
            teacher,
            most=settings.windows,
            cutting=settings.cutting,
            decoding=decoding,
            on_video=show,
        )
    apart = held_out(sample)
    counts = int(learnt(sample, apart).sum()), int(apart.sum())
    if counts[0] < LEAST_LEARNT or counts[1] < LEAST_HELD_OUT:
        raise BadVideo(
            f"the videos give {len(sample)} windows, {counts[0]} to learn from and {counts[1]} to "
            f"hold out; {LEAST_LEARNT} and {LEAST_HELD_OUT} are needed, a window being "
            f"{teacher.num_frames * settings.cutting.every_seconds:g} s: give more or longer "
            f"videos, or a smaller --every-seconds"
        )
    return sample


def _lessons(
    dense: Retriever, student: Retriever, sample: Sample, folder: Folder, counting: Counting
) -> tuple[Lessons, Floats]:
    """What there is to learn, and the untrained student's features of what is held out."""
    apart = held_out(sample)
    held, taught = np.flatnonzero(apart), np.flatnonzero(learnt(sample, apart))
    kept = folder.features("dense", "phrases", "untrained")
    if kept is None:
        kept = {"phrases": background_of(dense)}
        with counting("the dense model looks at them") as show:
            kept["dense"] = features_of(dense, sample.pixels, show)
        kept["untrained"] = features_of(student.for_inference("fp32"), sample.pixels[held])
        folder.keep_features(**kept)
    made = Lessons(sample.pixels, kept["dense"], kept["phrases"], learnt=taught, apart=held)
    return made, kept["untrained"]


def _learnt(
    student: Retriever, lessons: Lessons, settings: Adapting, folder: Folder, show_progress: bool
) -> dict[str, Any]:
    fitted = learn(student, lessons, settings, folder=folder.run, show_progress=show_progress)
    end = {
        "steps": fitted.steps,
        "best_score": fitted.best_score,
        "validations": fitted.history.validations,
        "history": fitted.history.curve(),
    }
    folder.keep_end(end)
    return end


def _report(
    dense: Retriever, made: Retriever, sample: Sample, lessons: Lessons, untrained: Floats
) -> dict[str, Any]:
    merging = made.for_inference("fp32")
    held = lessons.apart
    adapted = features_of(merging, sample.pixels[held])
    agreed = {
        kind: agreement(
            lessons.features[held], features, lessons.phrases, sample.video[held]
        ).as_dict()
        for kind, features in (("untrained", untrained), ("adapted", adapted))
    }
    told = {
        name: [{"path": str(i.path), "reason": i.reason} for i in getattr(sample, name)]
        for name in ("failures", "notes")
    }
    return {
        "system": to_toml(made.system),
        "fingerprint": made.fingerprint,
        "videos": {"found": sample.num_found, "read": len(sample.paths), **told},
        "skipped": dict(sample.skipped),
        "windows": {
            "all": len(sample),
            "learnt": len(lessons.learnt),
            "held_out": len(lessons.apart),
        },
        "cost": costs(made),
        "speed": speeds(dense, merging),
        "agreement": agreed,
        "machine": machine(),
    }
