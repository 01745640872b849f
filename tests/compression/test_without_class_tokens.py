"""Compressions on frames without a class token: refused with the reason, or as the official code.

The numbers are those of the official TempMe blocks on the weights of UMT, which has no class token.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file
from torch import Tensor, nn

from compression_material import quick
from golden_files import GOLDEN
from tempme.backbones.layers import Block, Layer
from tempme.compression import (
    COMPRESSIONS,
    STA,
    TESTA,
    Compression,
    DiffRate,
    EViT,
    Keep,
    TempMe,
    ToMe,
)
from tempme.errors import BadSetting
from tempme.pooling import TokenMean
from tempme.schedule import total_tokens
from tempme.tokens import Tokens, followed

WIDTH, PATCH, DEPTH = 64, 16, 12
PLACES = (GOLDEN / "umt", GOLDEN.parents[2] / "shared" / "golden" / "methods" / "umt")
UMT = next((place for place in PLACES if place.exists()), None)
official = pytest.mark.skipif(UMT is None, reason="the numbers of the official UMT are not here")
OPTIONS = (
    "main", "nopos", "noprop", "p40_20", "g322", "nomerge", "clamp90", "imgtable", "twoclips",
    "tome", "alt",
)  # fmt: skip

WORKING: dict[str, Compression] = {
    "keep": Keep(),
    "tome": ToMe(r=3),
    "sta": STA(r=(3, 2), at=(0, 2)),
    "testa": TESTA(r=2, merge_frames=1, frames_at=(1, 3)),
    "tempme": TempMe(r=2, joins={1: 2, 2: 2}),
    "joins in the last block": TempMe(r=1, joins={3: 4}),
    "tempme apart": TempMe(r=2, joins={1: 2, 2: 2}, apart=True),
}


@pytest.mark.parametrize("name", ["evit", "diffrate"])
def test_what_reads_the_class_token_is_refused(name: str) -> None:
    method = COMPRESSIONS[name]()
    with pytest.raises(BadSetting, match=r"attention of the class token.*have no class token: ch"):
        method.plan(tokens=196, frames=12, depth=DEPTH, protected=0)
    assert method.plan(tokens=197, frames=12, depth=DEPTH) == method.plan(
        tokens=197, frames=12, depth=DEPTH, protected=1
    )


@pytest.mark.parametrize("protected", [-1, 51])
def test_as_many_as_there_are_can_be_protected(protected: int) -> None:
    with pytest.raises(BadSetting, match=f"{protected} protected tokens of a frame's 50"):
        ToMe().plan(tokens=50, frames=12, depth=DEPTH, protected=protected)


def test_several_protected_tokens_stay_in_every_plan() -> None:
    for method in (*WORKING.values(), EViT(at=(1,)), DiffRate((20,) * 4, (19,) * 4)):
        for protected in (1, 3):
            plan = method.plan(tokens=20, frames=4, depth=4, protected=protected)
            joined = 1
            for step in plan:
                joined *= 1 if step.joined_inside else step.join
                assert step.protected == protected * joined
                assert step.tokens_out > step.protected


def layers_of(method: Compression, blocks: list[Block], tokens: int, frames: int) -> list[Layer]:
    plan = method.plan(tokens=tokens, frames=frames, depth=len(blocks), protected=0)
    return [
        method.wrap(block, step, blocks[0].ln_1.normalized_shape[0])
        for block, step in zip(blocks, plan, strict=True)
    ]


@pytest.mark.parametrize("method", WORKING.values(), ids=WORKING)
def test_every_block_keeps_to_the_plan(method: Compression) -> None:
    frames, patches, width = 4, 9, 8
    blocks = [Block(width, 2, "gelu") for _ in range(4)]
    plan = method.plan(tokens=patches, frames=frames, depth=4, protected=0)
    x = torch.randn(2 * frames, patches, width, requires_grad=True)
    start = tokens = Tokens(x, None, frames, num_protected=0)
    for step, layer in zip(plan, layers_of(method, blocks, patches, frames), strict=True):
        finished = layer.finish(tokens)
        tokens = layer(tokens)
        assert tokens.x_CND.shape[:2] == (2 * step.clips_out, step.tokens_out)
        assert (tokens.num_protected, step.protected) == (0, 0)
        assert torch.equal(finished.x_CND, tokens.x_CND)  # all tokens make the feature
        assert torch.equal(finished.sizes, tokens.sizes)
    ends = followed(torch.arange(len(start.x_CND) * patches), tokens.moves)
    dropped = 2 * sum(step.clips * step.after for step in plan)
    assert int((ends < 0).sum()) == dropped
    if not method.drops_patches:
        assert tokens.sizes.sum() == 2 * frames * patches
        held = tokens.counted(torch.ones(2, frames))
        assert torch.equal(held, tokens.sizes)
    TokenMean()(tokens).square().sum().backward()
    assert x.grad is not None
    assert (x.grad.abs().sum(dim=(1, 2)) > 0).all()


@quick
@given(
    tokens=st.integers(1, 60), frames=st.integers(1, 12), depth=st.integers(1, 6), data=st.data()
)
def test_plans_add_up_without_class_tokens(
    tokens: int, frames: int, depth: int, data: st.DataObject
) -> None:
    r = data.draw(st.integers(0, 40))
    share = data.draw(st.floats(0.01, 1))
    for method in (ToMe(r), TempMe(r, keep_cross=share, keep_intra=share), TESTA(r), STA((r,))):
        plan = method.plan(tokens=tokens, frames=frames, depth=depth, protected=0)
        assert plan[0].attended + plan[0].cross == tokens * plan[0].join
        for step in plan:
            assert step.protected == 0
            assert step.cross <= (step.attended + step.cross) // 2
            assert step.intra <= step.attended // 2
            assert step.tokens_out >= 1


# The numbers of the official code.


@cache
def tensors(file: str) -> dict[str, Tensor]:
    assert UMT is not None
    return {
        name: value.float() if value.is_floating_point() else value.long()
        for name, value in load_file(Path(UMT) / f"{file}.safetensors").items()
    }


@cache
def facts() -> dict[str, Any]:
    assert UMT is not None
    read: dict[str, Any] = json.loads((Path(UMT) / "g_tempme.json").read_text())
    return read


def weights(name: str) -> Tensor:
    return tensors("weights")[f"vision_encoder.{name}"]


def norm(name: str) -> nn.LayerNorm:
    made = nn.LayerNorm(WIDTH, eps=1e-6)
    made.load_state_dict({kind: weights(f"{name}.{kind}") for kind in ("weight", "bias")})
    return made


def umt_blocks() -> list[Block]:
    """Blocks with a bias on queries and values alone."""
    made = []
    for i in range(DEPTH):
        at = f"encoder.blocks.{i}."
        names = {"ln_1": "norm1", "ln_2": "norm2", "attn.out": "attn.proj"}
        names |= {"mlp.c_fc": "mlp.fc1", "mlp.c_proj": "mlp.fc2"}
        state = {
            f"{ours}.{kind}": weights(f"{at}{theirs}.{kind}")
            for ours, theirs in names.items()
            for kind in ("weight", "bias")
        }
        q, v = weights(f"{at}attn.q_bias"), weights(f"{at}attn.v_bias")
        state["attn.qkv.weight"] = weights(f"{at}attn.qkv.weight")
        state["attn.qkv.bias"] = torch.cat([q, torch.zeros_like(q), v])
        block = Block(WIDTH, 2, "gelu")
        block.load_state_dict(state)
        block.ln_1.eps = block.ln_2.eps = 1e-6
        made.append(block)
    return made


def waves(count: int) -> Tensor:
    """(count, D): sines and cosines in turns."""
    place = torch.arange(count, dtype=torch.float64)[:, None]
    even = torch.arange(WIDTH) // 2 * 2
    angle = place / 10000 ** (even / WIDTH)
    return torch.where(torch.arange(WIDTH) % 2 == 0, angle.sin(), angle.cos()).float()


def started(option: dict[str, Any]) -> Tokens:
    """Patches with their places, a frame a clip."""
    small = tensors("inputs")["videos" if option.get("frames", 12) == 12 else "videos_alt"]
    videos = small.repeat_interleave(4, -1).repeat_interleave(4, -2)
    frames = videos.shape[1]
    kernel = weights("encoder.patch_embed.proj.weight")[:, :, 0]
    bias = weights("encoder.patch_embed.proj.bias")
    x = nn.functional.conv2d(videos.flatten(0, 1), kernel, bias, stride=PATCH)
    x = x.flatten(2).mT
    image = option["table"] == "image"
    table = waves(x.shape[1]) if image else waves(frames * x.shape[1]).unflatten(0, (frames, -1))
    places = table.expand(frames, -1, -1).repeat(len(videos), 1, 1)
    return Tokens(x + places, None, frames, num_protected=0)


def method_of(option: dict[str, Any]) -> TempMe:
    cross, intra = (1 - percent / 100 for percent in option["proportions"])
    return TempMe(
        r=option["r"],
        joins=dict(zip(option["merge_layers"], option["groups"], strict=True)),
        keep_cross=cross,
        keep_intra=intra,
        proportional=option["prop_attn"],
        positions=bool(option["frame_pos"]),
    )


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, atol=5e-5, rtol=0)


@official
@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_equal_to_the_official_blocks(name: str) -> None:
    case, wanted = facts()[name], tensors("g_tempme")
    option = case["option"]
    method, tokens = method_of(option), started(option)
    patches, frames = len(tokens), tokens.clips_per_video
    plan = method.plan(tokens=patches, frames=frames, depth=DEPTH, protected=0)
    merged = [[step.cross, step.intra] if step.cross else [step.intra] for step in plan]
    if name != "nomerge":
        assert merged == [one["merge_numbers"] for one in case["layers"]]
    layers = layers_of(method, umt_blocks(), patches, frames)
    for k, block in enumerate(option["merge_layers"]):
        own = getattr(layers[block], "clip_position", None)
        if own is not None:
            own.copy_(tensors("inputs")[f"clip_pos.{name}.{k}"][0])
    *body, last = layers
    for number, layer in enumerate(body):
        tokens = layer(tokens)
        if f"{name}.block{number}.video0" in wanted:
            close(tokens.x_CND[: tokens.clips_per_video], wanted[f"{name}.block{number}.video0"])
    tokens = last.finish(tokens)
    check_end(tokens, name, rows=tokens.num_videos * frames * patches)
    assert total_tokens(plan) == case["final_tokens"]


def check_end(tokens: Tokens, name: str, *, rows: int) -> None:
    wanted, (clips, n, _) = tensors("g_tempme"), tokens.x_CND.shape
    sizes = tokens.sizes.view(tokens.num_videos, -1)
    assert torch.equal(sizes, wanted[f"{name}.size"])
    if f"{name}.assignment" in wanted:
        ends = followed(torch.arange(rows), tokens.moves).view(clips, -1)
        assert torch.equal(ends - n * torch.arange(clips)[:, None], wanted[f"{name}.assignment"])
    normed = Tokens(norm("encoder.norm")(tokens.x_CND), tokens.size_CN1, tokens.clips_per_video, 0)
    whole = normed.x_CND.view(tokens.num_videos, -1, WIDTH)
    stored = wanted[f"{name}.tokens"]
    close(whole[: len(stored)], stored)
    pool_norm = norm("pool_norm")
    weighted = TokenMean(whole_video=True)(normed)
    plain = TokenMean(weighted=False, whole_video=True)(normed)
    close(pool_norm(weighted), wanted[f"{name}.pooled_weighted"])
    close(pool_norm(plain), wanted[f"{name}.pooled_plain"])
    if f"{name}.pooled_per_clip_weighted" in wanted:
        close(pool_norm(TokenMean()(normed)), wanted[f"{name}.pooled_per_clip_weighted"])


@pytest.mark.parametrize(
    ("r", "cross", "intra", "tokens"),
    [(10, 40, 20, 125), (10, 30, 10, 317), (12, 40, 30, 63), (14, 30, 5, 289)],
)
def test_tokens_of_umt_at_its_real_size(r: int, cross: int, intra: int, tokens: int) -> None:
    method = TempMe(r, keep_cross=1 - cross / 100, keep_intra=1 - intra / 100)
    assert total_tokens(method.plan(tokens=196, frames=12, depth=12, protected=0)) == tokens
