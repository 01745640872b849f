"""The dense teacher, and the student that merges: one backbone, one way to read texts."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from tempme.backbones.backbone import made_of
from tempme.backbones.layers import Foldable, fold, inner_state
from tempme.backbones.undrawn import Undrawn
from tempme.compression import Keep
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.checkpoint import backbone_of, build
from tempme.retriever.names import SHIPPED, Saved, look_up
from tempme.retriever.parts import Parts, Untuned, untrained
from tempme.retriever.retriever import Retriever
from tempme.systems.budget import check_saves, within_budget
from tempme.systems.system import System
from tempme.systems.table import system

# What merges where nobody says: untrained it agrees better with the dense model than other rows of
# its cost, on real clips and on scenes (docs/adapt.md). With its own settings it would save less.
ROW, BUDGET = "earlytom", 0.5
# Texts read by both in single precision differ by less than this.
SAME = 1e-4


def dense_model(source: str | Path) -> Retriever:
    """The teacher: plain weights, or a saved retriever that keeps every token.

    A shipped model gives its backbone. BadSetting for a retriever that merges by itself.
    """
    found = look_up(source)
    if isinstance(found, Saved) and found.folder.parent == SHIPPED:
        row = system("clip4clip", backbone=backbone_of(source))
        return Retriever(build(row, source, seed=0)).eval()
    loaded = Retriever.load(source)
    if not isinstance(loaded.system.compression, Keep):
        raise BadSetting(
            f"{source} is a {loaded.system.name}, which leaves tokens out by itself: what learns "
            f"here is taught by a model that keeps them all (weights of a CLIP, or a retriever "
            f"trained without compression, such as lora)"
        )
    return loaded


def row_for(teacher: Retriever, name: str | None, budget: float | None) -> System:
    """The row `name` on the teacher's backbone, frames, words and pooling, within the budget.

    budget: a share of dense multiply-adds; None takes the settings of the row. Without a name it is
    ROW, within BUDGET unless another is given. BadSetting where the row saves nothing, or cannot
    cost so little.
    """
    if name is None:
        name, budget = ROW, BUDGET if budget is None else budget
    own = teacher.system
    row = system(name, backbone=own.backbone, frames=own.frames, max_words=own.max_words)
    row = replace(row, fit=own.fit, pooling=own.pooling)
    if budget is not None:
        return within_budget(row, budget)
    check_saves(row)
    return row


def merging_model(
    teacher: Retriever, row: System, *, seed: int = 0, shared: bool = False
) -> Retriever:
    """The row on the teacher's weights, untrained: it merges, and else computes the same.

    shared: what both have in common is in memory once, so that neither may learn. BadSetting where
    the teacher's tuning does not fold into its backbone, or the row reads texts otherwise than the
    teacher even before it has learnt anything.
    """
    student = Retriever(untrained(row, _plain(teacher.parts, shared=shared), seed=seed)).eval()
    told = ["a dog jumps into a lake", "a red circle above a blue star"]
    with torch.no_grad():
        apart = (student.encode_texts(told) - teacher.encode_texts(told)).abs().max()
    if apart > SAME:
        raise BadSetting(
            f"{row.name} reads texts otherwise than the dense model from the start (its tuning "
            f"adds to the text encoder), so that nothing is there to agree with: take a system "
            f"tuned by lora or full (tempme, tempme-full, tome, evit)"
        )
    return student


@contextmanager
def learning_videos(student: Retriever) -> Iterator[Retriever]:
    """The student with nothing to learn but in its video encoder: texts are read as before.

    Outside, what learns is again what its tuning says, so that it is saved and loaded as usual.
    """
    backbone = student.backbone
    frozen = [p for p in backbone.parameters() if p.requires_grad and not _sees(student, p)]
    try:
        for parameter in frozen:
            parameter.requires_grad_(False)
        if not any(p.requires_grad for p in backbone.parameters()):
            raise BadSetting(
                f"in {student.system.name} nothing learns in the video encoder: take another system"
            )
        yield student
    finally:
        for parameter in frozen:
            parameter.requires_grad_(True)


def _sees(student: Retriever, parameter: Tensor) -> bool:
    return any(parameter is one for one in student.backbone.vision.parameters())


@torch.no_grad()
def _plain(parts: Parts, *, shared: bool) -> Untuned:
    """The teacher's backbone with all that it learnt folded into it."""
    folded = fold(copy.deepcopy(parts.backbone, _kept_by_folding(parts.backbone)))
    inner = inner_state(folded)
    with Undrawn():
        plain = made_of(parts.backbone.config)
    kept = {inner[name].data_ptr() for name in plain.state_dict() if name in inner}
    beside = [n for n, v in folded.state_dict().items() if v.numel() and v.data_ptr() not in kept]
    lacking = [name for name in plain.state_dict() if name not in inner]
    if beside or lacking:
        raise BadWeights(
            f"{parts.system.name} of {parts.origin} is more than its backbone "
            f"({(beside or lacking)[0]}), and would be lost in a system that merges: take weights "
            f"of a CLIP, or a retriever tuned by lora or full"
        )
    plain.load_state_dict({name: inner[name] for name in plain.state_dict()}, assign=shared)
    tag = parts.base if _is_as_published(parts, plain.state_dict()) else None
    return Untuned(plain, parts.tokenizer, parts.origin, tag)


def _kept_by_folding(backbone: nn.Module) -> dict[int, Any]:
    """The parameters that folding leaves as they are, so that a copy to be folded may share them.

    They are what `copy.deepcopy` takes for copies that it has made: id -> parameter.
    """
    folding = (part for part in backbone.modules() if isinstance(part, Foldable))
    changed = {id(parameter) for part in folding for parameter in part.parameters()}
    return {id(p): p for p in backbone.parameters() if id(p) not in changed}


def _is_as_published(parts: Parts, plain: dict[str, Tensor]) -> bool:
    """Whether nothing of a published backbone was changed by what the teacher learnt."""
    return all(
        torch.equal(value, plain[name])
        for name, value in inner_state(parts.backbone).items()
        if name in plain
    )
