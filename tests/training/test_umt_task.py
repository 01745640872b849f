"""What trains a UMT: both losses, what it drops, and which recipes it takes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tempme.backbones.attention import attention
from tempme.backbones.layers import Attention
from tempme.backbones.umt.bert import Look
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.vision import VideoBlock
from tempme.compression import ToMe
from tempme.errors import BadSetting
from tempme.pooling import TokenPooling
from tempme.retriever.matching import read_texts, watch
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.systems.table import system
from tempme.training import Batch, Recipe, fit
from tempme.training.begun import begin, frozen_layers
from tempme.training.kinds import task_kind
from tempme.training.matching import Pairs, retrieval_losses
from tempme.training.task import ContrastiveTask
from tempme.training.umt_task import UmtTask
from tempme.tuning import Full, LoRA
from tiny_systems import TINY
from tiny_umt import TINY_UMT, WORDS

SIZES = replace(TINY_UMT, image_size=48, layers=3, text_layers=3, fusion_from=2)
RECIPE = Recipe(
    steps=2, batch=4, learning_rate=1e-3, decay_vectors=False, matching=1.0, precision="fp32",
    loggers=(), warmup=0.0,
)  # fmt: skip
TEXTS = ["a red dog", "blue cats", "a dog runs", "to the left of cats"]


def fresh(name: str = "umt4clip-tempme") -> Retriever:
    row = system(name, backbone=SIZES, frames=4)
    return Retriever.build(row, None, tokenizer=WORDS, seed=0)


def umt_of(retriever: Retriever) -> Umt:
    assert isinstance(retriever.backbone, Umt)
    return retriever.backbone


class SameFilms:
    """The same four films at every step, two captions of the first."""

    def part(self, step: int, rank: int, world: int) -> Batch:
        del step, rank, world
        generator = torch.Generator().manual_seed(3)
        frames = torch.randint(0, 256, (4, 4, 48, 48, 3), generator=generator, dtype=torch.uint8)
        return Batch(frames, TEXTS, TEXTS[::-1], [0, 1, 2, 3])


def losses(retriever: Retriever) -> tuple[float, float]:
    """Both losses of the films, with the same negatives every time."""
    torch.manual_seed(7)
    batch = SameFilms().part(0, 0, 1)
    with torch.no_grad():
        videos = watch(retriever, retriever.transform(batch.frames))
        words = read_texts(retriever, TEXTS)
        pairs = Pairs.of(umt_of(retriever), videos, words, torch.arange(4))
        found = retrieval_losses(umt_of(retriever), pairs)
    return float(found.contrastive), float(found.matching)


@pytest.mark.parametrize("name", ["umt", "umt4clip", "umt4clip-tempme", "umt4clip-tome"])
@pytest.mark.one_in(8)
def test_both_losses_are_learnt(name: str, tmp_path: Path) -> None:
    retriever = fresh(name)
    before = losses(retriever)
    recipe = replace(RECIPE, steps=12, learning_rate=3e-3)
    fitted = fit(retriever, SameFilms(), recipe, folder=tmp_path, show_progress=False)
    after = losses(fitted.retriever)
    assert max(x - y for x, y in zip(after, before, strict=True)) < -0.02
    assert fitted.history.losses[0] == pytest.approx(sum(before), abs=0.4)  # other negatives


@pytest.mark.parametrize("tuning", [None, LoRA()])
def test_all_that_learns_learns(tuning: LoRA | None) -> None:
    """With the match head and the layers before it, which the contrastive loss never reaches."""
    retriever = fresh("umt4clip")
    if tuning is not None:
        row = replace(retriever.system, tuning=tuning)
        retriever = Retriever.build(row, None, tokenizer=WORDS, seed=0)
        for name, parameter in retriever.named_parameters():
            if name.endswith("up.weight"):
                torch.nn.init.normal_(parameter, std=0.1)
    retriever.train()
    task = UmtTask(retriever, RECIPE)
    task.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    task.training_step(SameFilms().part(0, 0, 1), 0).backward()
    for name, parameter in retriever.named_parameters():
        has = parameter.grad is not None and bool(parameter.grad.abs().sum() > 0)
        assert has == parameter.requires_grad, name


def test_without_matching_nothing_reaches_the_match_head() -> None:
    retriever = fresh("umt").train()
    task = UmtTask(retriever, replace(RECIPE, matching=0.0, paraphrase=0.5))
    task.log = lambda *_, **__: None  # type: ignore[method-assign, assignment]
    task.training_step(SameFilms().part(0, 0, 1), 0).backward()
    umt = umt_of(retriever)
    assert umt.match_head.weight.grad is None
    assert umt.temperature.grad is not None
    assert umt.vision.projection.weight.grad is not None


def test_what_is_dropped_is_of_the_run(tmp_path: Path) -> None:
    retriever = fresh("umt4clip-tempme")
    umt = umt_of(retriever)
    umt.vision.drop_paths(0.4)
    blocks = [layer.inner() for layer in umt.vision.layers]
    rates = [block.drop_path for block in blocks if isinstance(block, VideoBlock)]
    assert rates == pytest.approx([0.0, 0.2, 0.4])
    frames = retriever.transform(SameFilms().part(0, 0, 1).frames)
    still = retriever.eval().encode_videos(frames)
    torch.testing.assert_close(still, retriever.encode_videos(frames))
    retriever.train()
    assert not torch.allclose(retriever.encode_videos(frames), retriever.encode_videos(frames))
    recipe = replace(RECIPE, drop_path=0.3, dropout=0.2)
    fit(retriever, SameFilms(), recipe, folder=tmp_path, show_progress=False)
    assert {block.drop_path for block in blocks if isinstance(block, VideoBlock)} == {0.0}
    retriever.train()
    torch.testing.assert_close(
        retriever.encode_texts(TEXTS), retriever.encode_texts(TEXTS), rtol=0, atol=0
    )


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("learns", [False, True])
def test_in_the_mean_no_weight_of_attention_is_dropped(causal: bool, learns: bool) -> None:
    torch.manual_seed(0)
    q, k, v = (torch.randn(1, 1, 5, 4).expand(4000, 1, 5, 4) for _ in range(3))
    q = q.clone().requires_grad_(learns)
    whole = attention(q, k, v, None, causal=causal)
    dropped = attention(q, k, v, None, causal=causal, dropout=0.3)
    assert not torch.allclose(dropped[0], dropped[1])
    torch.testing.assert_close(dropped.mean(0), whole[0], atol=0.06, rtol=0.0)


def test_only_training_drops_and_all_of_bert_does() -> None:
    umt = umt_of(fresh("umt"))
    umt.text.drop(0.25)
    parts = [m for m in umt.text.modules() if isinstance(m, Attention | Look)]
    assert {part.dropout for part in parts} == {0.25}
    assert any(isinstance(part, Look) for part in parts)
    x = torch.randn(2, 3, parts[0].out.in_features)
    for part in parts:
        given = (x, torch.randn(2, 4, part.kv.in_features)) if isinstance(part, Look) else (x,)
        both = [part.eval()(*given), part(*given), part.train()(*given)]
        one, same, other = (b if isinstance(b, torch.Tensor) else b[0] for b in both)
        torch.testing.assert_close(one, same, rtol=0, atol=0)
        assert not torch.allclose(one, other)


def test_in_the_mean_nothing_is_dropped() -> None:
    torch.manual_seed(0)
    block = VideoBlock(8, 2, joint=False).train()
    block.drop_path = 0.5
    x = torch.ones(4000, 1, 8)
    assert block._kept(x).mean() == pytest.approx(1.0, abs=0.1)
    assert set(block._kept(x).unique().tolist()) == {0.0, 2.0}


def test_a_lone_number_decays_and_vectors_do_not() -> None:
    task = UmtTask(fresh("umt"), replace(RECIPE, weight_decay=0.02))
    decays = {
        name: task._settings_of(name, parameter)[1]
        for name, parameter in task.retriever.named_parameters()
    }
    assert decays["backbone.temperature"] == 0.02
    assert decays["backbone.text.words.weight"] == 0.02
    assert decays["backbone.vision.layers.0.attn.qkv.q_bias"] == 0
    assert decays["backbone.vision.ln_pool.weight"] == 0


def test_the_temperature_stays_where_umt_keeps_it(tmp_path: Path) -> None:
    retriever = fresh("umt")
    with torch.no_grad():
        umt_of(retriever).temperature.fill_(0.7)
    fit(retriever, SameFilms(), RECIPE, folder=tmp_path, show_progress=False)
    assert float(umt_of(retriever).temperature.detach()) <= 0.5


def test_recipes_that_do_not_fit() -> None:
    clip = Retriever.build(system("lora", backbone=TINY), None, seed=0)
    assert task_kind(clip, replace(RECIPE, matching=0.0)) is ContrastiveTask
    assert task_kind(fresh(), RECIPE) is UmtTask
    with pytest.raises(BadSetting, match=r"recipe.matching is of UMT, which lora is not"):
        task_kind(clip, RECIPE)
    with pytest.raises(BadSetting, match=r"recipe.micro_batch cuts a batch"):
        task_kind(fresh(), replace(RECIPE, micro_batch=2))
    with pytest.raises(BadSetting, match=r"recipe.drop_path is 1.0; it is a share"):
        replace(RECIPE, drop_path=1.0)
    with pytest.raises(BadSetting, match=r"recipe.matching is -1; it must be 0 or more"):
        replace(RECIPE, matching=-1)


def test_a_pool_computes_frozen_blocks_once() -> None:
    """Where a frame is the same at every place of a video."""
    sizes = replace(SIZES, joint=False, frame_positions=True)
    tuning = Full(embeddings=False, vision_from=1)
    row = System("pooled", tuning, ToMe(), TokenPooling(), sizes, 4, 12)
    retriever = Retriever.build(row, None, tokenizer=WORDS, seed=0)
    assert frozen_layers(retriever) == 1
    frames = retriever.transform(SameFilms().part(0, 0, 1).frames)
    task = UmtTask(retriever, RECIPE)
    begun = begin(retriever, frames)
    x_VFND = begun.x_CND.unflatten(0, (4, 4))
    size = begun.sizes.unflatten(0, (4, 4))
    with torch.no_grad():
        later, whole = task._watched((x_VFND, size)), watch(retriever, frames)
    torch.testing.assert_close(later.x_CND, whole.x_CND, atol=1e-5, rtol=0)


@pytest.mark.parametrize("layers", [False, True])
def test_checkpointed_layers_learn_the_same(layers: bool, tmp_path: Path) -> None:
    found = []
    for checkpointed in (False, layers):
        recipe = replace(RECIPE, checkpoint_layers=checkpointed)
        folder = tmp_path / str(len(found))
        fitted = fit(fresh(), SameFilms(), recipe, folder=folder, show_progress=False)
        found.append(fitted.history.losses)
    assert found[0] == pytest.approx(found[1], abs=1e-5)
