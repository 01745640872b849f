"""Every tuning meets every compression: the pair works, or is refused before any weight is read."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from tempme.clip.config import ClipConfig
from tempme.compression import Compression
from tempme.errors import BadSetting
from tempme.losses import contrastive_loss
from tempme.pooling import Pooling
from tempme.retriever import Retriever
from tempme.tuning import TUNINGS, Tuning
from tempme.zoo import PAPER, System

TINY = ClipConfig(
    image_size=64,
    patch=16,
    width=32,
    heads=4,
    text_width=32,
    text_layers=12,
    text_heads=4,
    embed=16,
    context=16,
    vocab=64,
)
PLAIN = [name for name, row in PAPER.items() if type(row.compression).__name__ == "Keep"]
COMPRESSIONS = ("clip4clip", "tome", "evit", "diffrate", "sta", "testa", "tempme")
MODELLING = "temporal-modelling"  # joins, merges nothing
# What cannot meet, and why: the reason is what the message has to name.
JOINT = ("vop-f", "vop-fp", "vop-fc")  # all frames are one sequence in the last blocks
IN_PLACE = ("rap",)  # patches are read by their place
BY_FRAME = ("plevu", "vop-p", "dgl-transformer", "mv-adapter")  # every frame has its own part


def refused(tuning: str, compression: str) -> str | None:
    if compression == "clip4clip":
        return None
    if tuning in JOINT:
        return "attends over all tokens of a video at once"
    if tuning in IN_PLACE:
        return "reads patches by their place"
    if tuning in BY_FRAME and compression == "testa":
        return "which this compression merges|merges whole frames"
    return None


PAIRS = list(product(PLAIN, (*COMPRESSIONS, MODELLING)))
WORKING = [pair for pair in PAIRS if refused(*pair) is None]
REFUSED = [pair for pair in PAIRS if refused(*pair) is not None]


def together(tuning: str, compression: str) -> System:
    row = PAPER[tuning]
    fitted: Tuning = row.tuning.fitted(TINY)
    pooling: Pooling = row.pooling
    other: Compression = PAPER[compression].compression
    words = TINY.context - fitted.text_rows
    return System(f"{tuning}-{compression}", fitted, other, pooling, TINY, 12, words)


def built(tuning: str, compression: str) -> Retriever:
    made = together(tuning, compression).build(seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in made.parameters():
            if parameter.requires_grad and parameter.ndim > 1:
                parameter += 0.05 * torch.randn(parameter.shape, generator=generator)
    return made


def frames_of_one_video() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    scene = torch.randn(1, 3, 64, 64, generator=generator)
    return scene + 0.7 * torch.randn(14, 3, 64, 64, generator=generator)


def test_every_tuning_has_a_row() -> None:
    assert {type(PAPER[name].tuning) for name in PLAIN} == set(TUNINGS.values())


@pytest.mark.parametrize(("tuning", "compression"), REFUSED)
def test_refused(tuning: str, compression: str) -> None:
    with pytest.raises(BadSetting, match=refused(tuning, compression)):
        together(tuning, compression)


@pytest.mark.parametrize(("tuning", "compression"), WORKING)
@torch.no_grad()
def test_windows_are_videos(tuning: str, compression: str) -> None:
    retriever, frames = built(tuning, compression), frames_of_one_video()
    windows = torch.stack([torch.arange(12), torch.arange(2, 14)])
    features = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    # Likeness decides what merges: a last digit may decide otherwise in another batch.
    together_again = retriever.encode_videos(frames[windows])
    assert (features * together_again).sum(dim=1).min() > 0.999


@pytest.mark.parametrize(("tuning", "compression"), WORKING)
def test_all_that_learns_learns(tuning: str, compression: str) -> None:
    retriever, frames = built(tuning, compression), frames_of_one_video()
    ids = torch.tensor([[62, 5, 6, 7, 63, 0], [62, 8, 63, 0, 0, 0]])
    videos = retriever.encode_videos(torch.stack([frames[:12], frames[2:].flip(0)]))
    loss = contrastive_loss(retriever.encode_texts(ids), videos, retriever.clip.logit_scale)
    loss.backward()
    dead = retriever.system.tuning.dead
    for name, parameter in retriever.named_parameters():
        if not parameter.requires_grad or name.endswith(dead):
            assert parameter.grad is None, name
        else:
            assert parameter.grad is not None, name
            assert parameter.grad.isfinite().all(), name


@pytest.mark.parametrize(("tuning", "compression"), WORKING)
def test_the_cost_counts_prompts(tuning: str, compression: str) -> None:
    system = together(tuning, compression)
    bare = System("bare", PAPER["lora"].tuning, system.compression, backbone=TINY, max_words=8)
    least = bare.cost().gmacs
    adds_nothing = tuning in ("lora", "clip4clip")
    assert (system.cost().gmacs == least) if adds_nothing else (system.cost().gmacs > least)
