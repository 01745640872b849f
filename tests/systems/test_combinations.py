"""Every tuning meets every compression: the pair works, or is refused before any weight is read."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from torch import Tensor

from learning import assert_exactly_what_learns_has_gradients, moved
from tempme.backbones.config import ClipConfig
from tempme.compression import STA, Compression, DiffRate, EViT, TempMe, ToMe
from tempme.errors import BadSetting
from tempme.pooling import Pooling
from tempme.retriever.retriever import Retriever
from tempme.retriever.tracing import trace
from tempme.systems.system import System
from tempme.systems.table import PAPER
from tempme.tuning import RAP, TUNINGS, Tuning

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
JOINS_ITSELF = "joins or merges frames"
WITH_JOINT = {
    "evit": "class token of a single frame",
    "diffrate": "class token of a single frame",
    "sta": "frame by frame",
    "testa": JOINS_ITSELF,
    "tempme": JOINS_ITSELF,
    MODELLING: JOINS_ITSELF,
}
WITH_RAP = {"testa": JOINS_ITSELF, "tempme": JOINS_ITSELF, MODELLING: JOINS_ITSELF}
BY_FRAME = ("plevu", "vop-p", "dgl-transformer", "mv-adapter")  # every frame has its own part


def refused(tuning: str, compression: str) -> str | None:
    if compression == "clip4clip":
        return None
    if tuning in JOINT:
        return WITH_JOINT.get(compression)
    if tuning == "rap":
        return WITH_RAP.get(compression, "reads patches by their place")
    if tuning in BY_FRAME and compression == "testa":
        return "which this compression merges|compression merges whole frames"
    return None


# Settings under which pairs meet that do not meet by default.
SETTINGS: dict[str, Tuning | Compression] = {
    "rap without looking around": RAP(warped=0),
    "evit that ends early": EViT(at=(3, 6)),
    "evit that drops early": EViT(at=(3, 7), fuse=False),
    "sta that ends early": STA(r=(4, 3), at=(0, 4)),
    "diffrate that ends early": DiffRate((17, 15, 13, *[12] * 9), (17, 14, 12, *[12] * 9)),
    "tempme without joins": TempMe(joins={}),
    "tome of few": ToMe(r=1),
}
MORE = [
    *product(["rap without looking around"], ("tome", "evit", "diffrate", "sta")),
    *product(JOINT, (name for name, made in SETTINGS.items() if not isinstance(made, Tuning))),
]
PAIRS = list(product(PLAIN, (*COMPRESSIONS, MODELLING)))
WORKING = [*(pair for pair in PAIRS if refused(*pair) is None), *MORE]
REFUSED = [pair for pair in PAIRS if refused(*pair) is not None]


def together(tuning: str, compression: str) -> System:
    tuned, other = (SETTINGS.get(name) for name in (tuning, compression))
    row = PAPER.get(tuning, PAPER["rap"])
    fitted: Tuning = (tuned or row.tuning).fitted(TINY)  # type: ignore[union-attr]
    pooling: Pooling = row.pooling
    other = other or PAPER[compression].compression
    words = TINY.context - fitted.text_rows
    return System(f"{tuning}-{compression}", fitted, other, pooling, TINY, 12, words)  # type: ignore[arg-type]


def built(tuning: str, compression: str) -> Retriever:
    return moved(Retriever.build(together(tuning, compression), None, seed=0))


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
@pytest.mark.one_in(12)
def test_windows_are_videos(tuning: str, compression: str) -> None:
    retriever, frames = built(tuning, compression), frames_of_one_video()
    windows = torch.stack([torch.arange(12), torch.arange(2, 14)])
    features = retriever.encode_windows(frames, windows)
    torch.testing.assert_close(features.norm(dim=1), torch.ones(2))
    # Likeness decides what merges: a last digit may decide otherwise in another batch.
    together_again = retriever.encode_videos(frames[windows])
    assert (features * together_again).sum(dim=1).min() > 0.999


@pytest.mark.parametrize(("tuning", "compression"), WORKING)
@pytest.mark.one_in(12)
def test_all_that_learns_learns(tuning: str, compression: str) -> None:
    retriever, frames = built(tuning, compression), frames_of_one_video()
    ids = torch.tensor([[62, 5, 6, 7, 63, 0], [62, 8, 63, 0, 0, 0]])
    videos = retriever.encode_videos(torch.stack([frames[:12], frames[2:].flip(0)]))
    assert_exactly_what_learns_has_gradients(retriever, retriever.encode_texts(ids), videos)


def test_the_cost_counts_prompts() -> None:
    for tuning, compression in WORKING:
        system = together(tuning, compression)
        bare = System("bare", PAPER["lora"].tuning, system.compression, backbone=TINY, max_words=8)
        least = bare.cost().gmacs
        cost, adds_nothing = system.cost().gmacs, tuning in ("lora", "clip4clip")
        assert cost == least if adds_nothing else cost > least, system.name


@pytest.mark.parametrize("compression", ["tome", "tempme without joins"])
def test_joint_frames_merge_across_the_video(compression: str) -> None:
    """As many tokens leave the one sequence as would leave all frames, and no class token does."""
    plan = together("vop-f", compression).plan()
    frames = together("vop", "tome").plan()
    assert [s.clips * s.tokens_out for s in plan] == [s.clips * s.tokens_out for s in frames]
    assert [s.clips for s in plan] == [12] * 8 + [1] * 4
    assert plan[8].protected == plan[-1].protected == 12


@torch.no_grad()
def test_joint_frames_keep_every_patch() -> None:
    retriever = built("vop-f", "tome of few")
    still = frames_of_one_video()[:1].expand(12, -1, -1, -1)
    way = trace(retriever, still[None])
    assert way.sizes().sum(1).eq(12 * TINY.tokens).all()
    assert way.spans().max() > 1  # tokens of several frames have merged


@torch.no_grad()
def test_sizes_are_joined_where_attention_does_not_see_them() -> None:
    retriever, frames = built("vop-f", "evit that ends early"), frames_of_one_video()[:12]
    vision = retriever.backbone.vision
    tokens = vision.embed(frames[None])
    for layer in vision.layers:
        tokens = layer(tokens)
        assert tokens.size_CN1 is None or tokens.size_CN1.shape[:2] == tokens.x_CND.shape[:2]
    assert tokens.sizes.sum() == 12 * TINY.tokens
