"""What every tuning promises: its count, its cost, its start; loops agree; settings are checked."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

import reference_tuning as loops
from learning import moved
from small_tunings import SMALL, frames, ids
from tempme.compression import Keep
from tempme.errors import BadSetting
from tempme.pooling import FirstPooling, MeanPooling
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tempme.systems.system import System
from tempme.tuning import (
    DGL,
    PLEVU,
    RAP,
    Adapter,
    DGLTransformer,
    MVAdapter,
    Prompt,
    Tuning,
    VoP,
)

COUNTS = {
    "clip4clip": 123_540_993,
    "lora": 491_520,
    "prompt": 76_800,
    "adapter": 261_312,
    "plevu": 6_350_336,
    "vop": 122_880,
    "vop-p": 528_384,
    "vop-c": 14_257_152,
    "vop-f": 122_880 + 9_216,
    "vop-fp": 393_216 + 9_216,
    "vop-fc": 14_269_440 + 9_216,
    "dgl": 827_392,
    "dgl-transformer": 9_575_168,
    "mv-adapter": 3_572_736,
    "rap": 1_072_914,
}
PRINTED = {  # as the paper counts: ViT-B/32, ViT-B/16
    "prompt": (58.2, 216.8),
    "adapter": (53.1, 211.7),
    "dgl": (67.4, 251.2),
    "dgl-transformer": (67.4, 251.2),
}
MADE = {  # giga multiply-adds: this program's, and of making prompts
    "prompt": (49.51, 0),
    "adapter": (49.47, 0),
    "dgl": (49.84, 0.02),
    "dgl-transformer": (50.47, 4.91),
    "vop": (49.59, 0),
    "vop-c": (50.83, 2.04),
    "vop-fc": (51.95, 1.36),
    "plevu": (49.47, 0),
    "mv-adapter": (53.63, 0),
}
FROM_CLIP = ("lora", "adapter", "mv-adapter-untied", "rap")


def small(tuning: Tuning, frames: int = 3, *, first: bool = False) -> Retriever:
    pooling = FirstPooling() if first else MeanPooling()
    words = SMALL.context - tuning.text_rows
    return Retriever.build(
        System("small", tuning, Keep(), pooling, SMALL, frames, words), None, seed=3
    )


def doubles(retriever: Retriever) -> dict[str, Tensor]:
    return {name: value.double() for name, value in retriever.backbone.state_dict().items()}


@pytest.mark.parametrize("name", COUNTS)
def test_numbers_that_learn(name: str) -> None:
    assert zoo.system(name).trainable_parameters() == COUNTS[name]


@pytest.mark.parametrize(
    ("tuning", "count"),
    [
        (PLEVU(), 6_352_384),
        (DGLTransformer(), 9_722_624),
    ],
)
def test_numbers_that_learn_with_16_frames(tuning: Tuning, count: int) -> None:
    assert System("sixteen", tuning, Keep(), frames=16).trainable_parameters() == count


@pytest.mark.parametrize(
    ("settings", "count"),
    [
        ({"tied": 0}, 3_317_184 + 171_008),
        ({"tie": "out"}, 3_496_704),
        ({"tied": 3}, 3_615_008),
    ],
)
def test_released_configurations_of_mv_adapter(settings: dict[str, object], count: int) -> None:
    tuning = MVAdapter(**settings)  # type: ignore[arg-type]
    assert System("mv", tuning, Keep()).trainable_parameters() == count


@pytest.mark.parametrize("name", PRINTED)
def test_multiply_adds_as_printed(name: str) -> None:
    for backbone, printed in zip(("ViT-B/32", "ViT-B/16"), PRINTED[name], strict=True):
        cost = zoo.system(name, backbone=backbone).cost()
        assert cost.gflops_paper == pytest.approx(printed, abs=0.1)


@pytest.mark.parametrize("name", MADE)
def test_multiply_adds_of_this_program(name: str) -> None:
    cost = zoo.system(name).cost()
    assert cost.gmacs == pytest.approx(MADE[name][0], abs=0.01)
    assert cost.gmacs_prompts == pytest.approx(MADE[name][1], abs=0.01)


def test_vop_as_the_paper_measured_it() -> None:
    """58.0 at ViT-B/32 is a quarter of VoP F+C's prompts: 4 a frame, then 4 for the video."""
    reduced = System("reduced", VoP(visual=4, joint=4), Keep())
    assert reduced.cost().gflops_paper == pytest.approx(58.0, abs=0.1)
    assert reduced.plan()[-1].attended == 12 * 50
    assert zoo.system("vop-fc").plan()[7].attended == 50


@pytest.mark.parametrize("name", FROM_CLIP)
@torch.no_grad()
def test_training_starts_at_clip(name: str) -> None:
    tuning = MVAdapter(tied=0) if name == "mv-adapter-untied" else zoo.PAPER[name].tuning
    start = small(tuning.fitted(SMALL))
    clip = small(zoo.PAPER["clip4clip"].tuning)
    # The same backbone: seeds draw it before anything that learns.
    torch.testing.assert_close(start.encode_videos(frames()), clip.encode_videos(frames()))
    torch.testing.assert_close(start.encode_texts(ids()), clip.encode_texts(ids()))


@torch.no_grad()
def test_dgl_in_loops() -> None:
    retriever = moved(small(DGL(local_prompts=2, global_prompts=3), first=True), by=0.1)
    vision, state = retriever.backbone.vision, doubles(retriever)
    ours = vision.project(vision.encode(vision.embed(frames())))[:, 0]
    for video, own in zip(frames().double(), ours, strict=True):
        theirs = loops.dgl(video, state, layers=3, heads=2, patch=16)
        torch.testing.assert_close(own.double(), theirs, atol=2e-5, rtol=0)


@torch.no_grad()
def test_mv_adapter_in_loops() -> None:
    retriever = moved(small(MVAdapter(width=4, tied=0)), by=0.1)
    vision, state = retriever.backbone.vision, doubles(retriever)
    ours = vision.project(vision.encode(vision.embed(frames())))
    for video, own in zip(frames().double(), ours, strict=True):
        theirs = loops.mv_adapter(video, state, layers=3, heads=2, patch=16, scale=0.1)
        torch.testing.assert_close(own.double(), theirs, atol=2e-5, rtol=0)


@pytest.mark.parametrize(
    "tuning", [DGL(), DGLTransformer(), MVAdapter(tied=1), MVAdapter(tied=2, tie="out")]
)
@torch.no_grad()
def test_folded_for_inference(tuning: Tuning) -> None:
    retriever = moved(small(tuning, first=isinstance(tuning, DGL)), by=0.1)
    ready = retriever.for_inference("fp32")
    torch.testing.assert_close(
        ready.encode_videos(frames()), retriever.encode_videos(frames()), atol=1e-6, rtol=0
    )
    torch.testing.assert_close(
        ready.encode_texts(ids()), retriever.encode_texts(ids()), atol=1e-6, rtol=0
    )
    kinds = {type(module).__name__ for module in ready.backbone.modules()}
    assert not kinds & {"FromSpace", "TiedDown"}


@pytest.mark.parametrize("tuning", [MVAdapter(tied=0), PLEVU(prefix=4, postfix=4, heads=2)])
@torch.no_grad()
def test_frames_meet(tuning: Tuning) -> None:
    """Changing one frame changes what another one becomes, within its own video alone."""
    vision = moved(small(tuning), by=0.1).backbone.vision
    given = frames()
    before = vision.relate(vision.project(vision.encode(vision.embed(given))))
    given[0, 2] += 1
    after = vision.relate(vision.project(vision.encode(vision.embed(given))))
    assert (after[0, 0] - before[0, 0]).abs().max() > 1e-5
    assert torch.equal(after[1], before[1])


@torch.no_grad()
def test_words_behind_the_end_change_nothing() -> None:
    longer = torch.tensor([[62, 4, 5, 6, 63, 9, 9], [62, 7, 63, 3, 3, 3, 3]])
    for name in ("prompt", "plevu", "vop", "dgl", "mv-adapter"):
        tuning = zoo.PAPER[name].tuning.fitted(SMALL)
        retriever = moved(small(tuning, first=name == "dgl"), by=0.1)
        torch.testing.assert_close(
            retriever.encode_texts(longer), retriever.encode_texts(ids()), atol=1e-6, rtol=0
        )


@torch.no_grad()
def test_prompts_of_texts_are_seen_by_words_but_not_by_the_start() -> None:
    retriever = moved(small(Prompt()), by=0.1)
    text = retriever.backbone.text
    tokens, _ = text.embed(ids())
    seen = text.layers[0](tokens).x_CND
    bare = text.layers[0].layer(tokens).x_CND
    assert torch.equal(seen[:, 0], bare[:, 0])
    assert (seen[:, 1:] - bare[:, 1:]).abs().amax(dim=-1).min() > 1e-5


def test_plevus_temperature() -> None:
    assert small(PLEVU(4, 4, heads=2)).backbone.logit_scale == small(Prompt()).backbone.logit_scale
    hot = small(PLEVU(4, 4, heads=2, temperature=0.05)).backbone.logit_scale
    assert hot.item() == pytest.approx(math.log(20))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prompt(tokens=0), "prompt.tokens is 0"),
        (lambda: Adapter(width=0), "adapter.width is 0"),
        (lambda: PLEVU(blocks=0), "blocks and heads 1 or more"),
        (lambda: PLEVU(temperature=0), "temperature is 0"),
        (lambda: VoP(positional=4, contextual=4), "at least one prompt is shared"),
        (lambda: VoP(joint=-1), "0 or more"),
        (lambda: DGL(global_prompts=0), "dgl.global_prompts is 0"),
        (lambda: MVAdapter(width=3), "a multiple of 2"),
        (lambda: MVAdapter(tie="both"), "possible: in, out"),  # type: ignore[arg-type]
        (lambda: RAP(rank=0), "rap.rank is 0"),
        (lambda: System("x", VoP(joint=13), Keep()), "joint is 13, but there are 12 blocks"),
        (lambda: System("x", PLEVU(), Keep(), max_words=46), "set max_words to 45 or less"),
        (lambda: System("x", PLEVU(heads=7), Keep()), "heads is 7"),
        (lambda: System("x", MVAdapter(tied=13), Keep()), "only 12"),
        (lambda: System("x", RAP(patches=50), Keep()), "a frame has 49"),
        (
            lambda: System("x", DGL(), Keep(), backbone=replace(SMALL, text_layers=4)),
            "4 for texts and 3 for images",
        ),
    ],
)
def test_settings_are_checked_when_born(make: object, message: str) -> None:
    with pytest.raises(BadSetting, match=message):
        make()  # type: ignore[operator]


@torch.no_grad()
def test_texts_longer_than_learnt_places_are_refused() -> None:
    retriever = replace_words(small(MVAdapter(tied=0)), 4)
    with pytest.raises(BadSetting, match="learnt places of 4"):
        retriever.encode_texts(ids())


def replace_words(retriever: Retriever, words: int) -> Retriever:
    return Retriever.build(replace(retriever.system, max_words=words), None, seed=3)


# torch.compile itself makes the object that torch warns of.
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
@pytest.mark.parametrize("name", ["prompt", "plevu", "vop", "dgl-transformer", "mv-adapter", "rap"])
@torch.no_grad()
@pytest.mark.slow
def test_texts_in_one_graph(name: str) -> None:
    tuning = zoo.PAPER[name].tuning.fitted(SMALL)
    text = moved(small(tuning, first=name == "dgl-transformer"), by=0.1).backbone.text
    compiled = torch.compile(text, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(ids()), text(ids()), atol=1e-6, rtol=0)
