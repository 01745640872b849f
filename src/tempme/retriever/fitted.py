"""A model of whatever a person has, with the system and lengths that a person asks for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tempme.backbones.backbone import made_of
from tempme.backbones.config import DEFAULT_MODEL
from tempme.errors import BadSetting, BadWeights
from tempme.retriever.checkpoint import backbone_of, build, load_folder, row_of
from tempme.retriever.names import Saved, Tagged, look_up, unknown
from tempme.retriever.parts import Parts, assembled
from tempme.retriever.retriever import Retriever
from tempme.systems.table import system
from tempme.video.values import Fit
from tempme.weights.fit import misfit


def load_as(
    source: str | Path = DEFAULT_MODEL,
    *,
    system_name: str | None = None,
    frames: int | None = None,
    max_words: int | None = None,
    activation: str | None = None,
    fit: Fit | None = None,
    lengths: tuple[int, int] = (12, 32),
) -> Retriever:
    """`Retriever.load`, of another system or with other frames, words or fit than it would have.

    Weights that know no system get `system_name`, or clip4clip, with `lengths` (frames, words)
    where nothing else is asked. A saved retriever stays the system that it is; it takes other
    frames where nothing of it was learnt for a number of them. BadSetting where that cannot be.
    """
    found = look_up(source)
    if isinstance(found, Saved):
        if system_name is not None or activation is not None:
            raise BadSetting(
                f"{source} is a saved retriever, whose system and activation are its own: leave "
                f"--system and --activation out, or give weights"
            )
        return Retriever(resized(load_folder(found.folder), frames, max_words, fit)).eval()
    if not_there := "" if isinstance(found, Tagged) else unknown(source):
        raise BadWeights(not_there)
    made = system(
        system_name or ("clip4clip" if isinstance(found, Tagged) else row_of(source)),
        backbone=found.backbone if isinstance(found, Tagged) else backbone_of(source),
        frames=frames or lengths[0],
        max_words=max_words or lengths[1],
    )
    if fit is not None:
        made = replace(made, fit=fit)
    weights = found.tag if isinstance(found, Tagged) else source
    return Retriever(build(made, weights, activation=activation, seed=0)).eval()


def resized(
    parts: Parts, frames: int | None, max_words: int | None, fit: Fit | None = None
) -> Parts:
    """The parts with other frames, words or fit; BadSetting where weights are for their lengths."""
    old = replace(parts.system, fit=fit or parts.system.fit)
    asked: dict[str, Any] = {
        "frames": frames or old.frames,
        "max_words": max_words or old.max_words,
    }
    most = old.config.context - old.tuning.text_rows
    if asked["max_words"] > most:
        raise BadSetting(f"max_words is {asked['max_words']}; this model reads {most} at most")
    made = replace(old, **asked)
    if made == old:
        return replace(parts, system=old)
    backbone = assembled(made, made_of(made.config))
    shapes = {name: tuple(value.shape) for name, value in backbone.state_dict().items()}
    state = parts.backbone.state_dict()
    if wrong := misfit(shapes, state):
        raise BadSetting(
            f"{old.name} of {parts.origin} was made for {old.frames} frames and {old.max_words} "
            f"words, not for {made.frames} and {made.max_words}: {wrong}"
        )
    backbone.load_state_dict(state)
    return replace(parts, system=made, backbone=backbone)
