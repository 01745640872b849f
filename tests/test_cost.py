"""Every multiply-add that a plan states runs, and no other: by torch's own counter."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn

from counted import multiply_adds, of_a_video, without_numbers
from learning import moved
from tempme.backbones.layers import Attention, Foldable, rows_of
from tempme.compression import STA, TESTA, Compression, DiffRate, EViT, Keep, TempMe, ToMe
from tempme.pooling import FirstPooling
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.systems.system import System
from tempme.tuning import (
    DGL,
    PLEVU,
    RAP,
    Adapter,
    DeepTuning,
    DGLTransformer,
    Full,
    LoRA,
    MVAdapter,
    Prompt,
    Tuning,
    VoP,
)
from tempme.tuning.lora import LoRALinear
from tiny_systems import TINY, videos
from tiny_umt import TINY_UMT

REAL = [("ViT-B/32", 12), ("ViT-B/16", 12), ("ViT-B/32", 64)]
# What the last block does is the question: here it joins, merges frames, or is not tuned.
LAST: dict[str, tuple[Tuning, Compression]] = {
    "joins": (LoRA(), TempMe(joins={11: 12})),
    "joins and learns where": (LoRA(), TempMe(joins={0: 2, 11: 6}, keep_cross=0.5)),
    "merges frames": (Adapter(), TESTA(frames_at=(11,))),
    "drops without a trace": (LoRA(), EViT(at=(3, 11), fuse=False)),
    "drops after it": (Prompt(), STA(r=(3, 2), at=(0, 11))),
    "merges what is left": (Full(), DiffRate((26, *[20] * 11), (26, *[18] * 10, 9))),
    "prompts of places": (VoP(positional=4), TempMe()),
    "prompts of context": (VoP(contextual=3, positional=2), ToMe()),
    "joint": (VoP(joint=2, contextual=4), ToMe()),
    "tokens of the video": (DGL(), TempMe()),
    "tokens of the video, late": (DGLTransformer(vision_from=11), ToMe()),
    "adapters": (MVAdapter(), TempMe()),
    "no adapter": (MVAdapter(tied=0, vision_from=12), TempMe()),
    "modulated": (RAP(warped=0), EViT(at=(3, 11))),
    "modulated, merging": (RAP(warped=0), ToMe()),
    "not modulated": (RAP(warped=0, vision_from=12), ToMe()),
    "no prompts": (Prompt(vision_from=12), Keep()),
    "frames meet behind it": (PLEVU(), TempMe()),
}


def stated(system: System) -> int:
    """What the cost says, with prompts where every video has to have its own made."""
    cost = system.cost()
    made = cost.gmacs_prompts if system.tuning.makes_prompts == "of every video" else 0
    return round((cost.gmacs + made) * 1e9)


@pytest.mark.one_in(8)
@pytest.mark.parametrize("name", zoo.SYSTEMS)
def test_every_row_costs_what_runs(name: str) -> None:
    sizes = TINY_UMT if name in zoo.UMT else TINY
    row = zoo.system(name, backbone=sizes, frames=zoo.SYSTEMS[name].frames)
    assert of_a_video(row) == stated(row)


@pytest.mark.one_in(4)
@pytest.mark.parametrize("name", LAST)
def test_whatever_the_last_block_does(name: str) -> None:
    tuning, compression = LAST[name]
    fitted = tuning.fitted(TINY)
    words = min(8, TINY.context - fitted.text_rows)
    row = System(name, fitted, compression, backbone=TINY, max_words=words)
    row = replace(row, pooling=FirstPooling()) if isinstance(tuning, DGL) else row
    assert of_a_video(row) == stated(row)


@pytest.mark.slow
@pytest.mark.parametrize(("backbone", "frames"), REAL)
@pytest.mark.parametrize("name", ["lora", "tome", "tempme"])
def test_real_sizes_by_shapes_alone(name: str, backbone: str, frames: int) -> None:
    row = zoo.system(name, backbone=backbone, frames=frames)
    assert without_numbers(row) == stated(row)


@pytest.mark.slow
def test_shapes_alone_count_as_numbers_do() -> None:
    row = zoo.system("tempme", backbone=TINY)
    assert without_numbers(row) == of_a_video(row)


@pytest.mark.slow
def test_videos_of_a_batch_share_what_is_learnt_alone() -> None:
    """A cost is that of a video alone; only keys and values of shared prompts come once a batch."""
    for name, shared in (("tempme", 0), ("prompt", 12 * 2 * 5 * TINY.width**2)):
        row = zoo.system(name, backbone=TINY)
        ready = Retriever.build(row, None, seed=0).for_inference("fp32")
        given = videos(3)
        both = multiply_adds(lambda ready=ready, given=given: ready.encode_videos(given))  # type: ignore[misc]
        assert both == 3 * stated(row) - 2 * shared


@pytest.mark.parametrize("tuning", [Full(), LoRA(), Adapter(), Prompt()])
def test_a_block_that_is_not_tuned_saves_the_same(tuning: DeepTuning) -> None:
    """But for the last, which serves fewer tokens."""
    costs = [
        stated(System("x", replace(tuning, vision_from=first), Keep(), backbone=TINY, max_words=8))
        for first in range(13)
    ]
    saved = [more - less for more, less in pairwise(costs)]
    assert len(set(saved[:-1])) == 1
    assert 0 <= saved[-1] <= saved[0]


class Doubled(nn.Module):
    """A projection that nothing here knows."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = 2 * self.base(x)
        return out


class Shifted(Foldable):
    """One that folds, and does not say how to leave anything out."""

    def __init__(self, base: nn.Module) -> None:
        super().__init__()
        self.base = base

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.base(x) + 1
        return out


class Tripled(nn.Linear):
    """One that derives from a plain map, and is none."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * super().forward(x)


def attention_with(kind: str) -> Attention:
    torch.manual_seed(0)
    made = Attention(TINY.width, TINY.heads)
    around: dict[str, nn.Module] = {
        "plain": made.qkv,
        "lora": LoRALinear(made.qkv, 4, 0.5),
        "unknown": Doubled(made.qkv),
        "foldable": Shifted(made.qkv),
        "derived": Tripled(TINY.width, 3 * TINY.width),
    }
    made.qkv = around[kind]  # type: ignore[assignment]
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


@pytest.mark.parametrize("kind", ["plain", "lora", "unknown", "foldable", "derived"])
@pytest.mark.parametrize("asking", [0, 1, 3])
def test_queries_of_some_are_those_of_all(kind: str, asking: int) -> None:
    attn, x = attention_with(kind), torch.randn(2, 7, TINY.width)
    some, whole = attn.project(x, asking), attn.project(x)
    assert some[0].shape == (2, TINY.heads, asking, TINY.width // TINY.heads)
    torch.testing.assert_close(some[0], whole[0][:, :, :asking], atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(some[1:], whole[1:], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("kind", ["plain", "lora"])
def test_nothing_is_made_that_is_cut_off(kind: str) -> None:
    attn, x, d = attention_with(kind), torch.randn(1, 10, TINY.width), TINY.width
    down = 4 * d if kind == "lora" else 0  # and the way up again, row by row
    rows = 4 if kind == "lora" else 0
    ran = multiply_adds(lambda: attn.project(x, 1))
    assert ran == 10 * (2 * d * (d + rows) + down) + (d * (d + rows) + down)


@pytest.mark.parametrize("kind", ["plain", "lora"])
def test_gradients_are_those_of_the_whole(kind: str) -> None:
    attn, x = attention_with(kind), torch.randn(2, 7, TINY.width)
    gradients = []
    for num_queries in (2, None):
        attn.zero_grad()
        q, k, v = attn.project(x, num_queries)
        (q[:, :, :2].square().sum() + (k * v).sum()).backward()
        gradients.append([p.grad.clone() for p in attn.qkv.parameters() if p.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 0
    for some, whole in zip(*gradients, strict=True):
        torch.testing.assert_close(some, whole, atol=1e-4, rtol=1e-5)


def test_rows_of_a_plain_map_without_a_bias() -> None:
    linear, x = nn.Linear(4, 6, bias=False), torch.randn(3, 4)
    torch.testing.assert_close(rows_of(linear, x, slice(2, 5)), linear(x)[..., 2:5])


@pytest.mark.parametrize("name", ["lora", "tempme", "dgl", "vop-p", "prompt-tempme"])
@torch.no_grad()
def test_the_feature_is_that_of_a_last_block_run_whole(name: str) -> None:
    retriever = moved(Retriever.build(zoo.system(name, backbone=TINY), None, seed=0))
    vision, given = retriever.backbone.vision, videos()
    tokens = vision.embed(given)
    for layer in vision.layers:
        tokens = layer(tokens)
    short = vision.encode(vision.embed(given)).x_CND
    torch.testing.assert_close(short, tokens.protected().x_CND, atol=2e-6, rtol=1e-5)
