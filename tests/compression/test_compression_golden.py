"""EViT, DiffRate, STA and TESTA compute what their official codes compute."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from golden_compression import (
    TOKENS,
    Case,
    Run,
    cues_of,
    facts,
    followed,
    in_any_order,
    named,
    of_case,
)
from golden_files import FEATURES
from tempme.backbones.layers import Block
from tempme.compression import STA, TESTA, DiffRate, EViT
from tempme.compression.sta import survivors
from tempme.compression.testa import match_frames, merge_frames
from tempme.tokens import Tokens

# Class tokens are equal to 2e-6, whole blocks (numbers up to 5) a little less.
CLASS, BLOCK, GRADIENT = FEATURES["atol"], 4e-6, 3e-6
ROUNDING = FEATURES["rtol"]


def equal(a: Tensor, b: Tensor, *, within: float) -> None:
    torch.testing.assert_close(a, b.view_as(a), atol=within, rtol=ROUNDING)


def check_ends(run: Run, expected: dict[str, Tensor]) -> None:
    """Class tokens, the shortened last block, and the gradient of one frame's tokens."""
    wanted = expected.get("cls_after_ln_post", expected.get("norm_out_cls"))
    assert wanted is not None
    equal(run.normed, wanted, within=CLASS)
    before = run.after[-2]
    finished, whole = run.layers[-1].finish(before), run.after[-1].protected()
    equal(finished.x_CND, whole.x_CND, within=CLASS)
    assert finished.clips_per_video == whole.clips_per_video
    gradient = run.gradient(expected["cotangent"])
    for name, value in expected.items():
        if name.startswith("grad_patches.first"):
            equal(gradient[0, 1:] / value.abs().max(), value / value.abs().max(), within=GRADIENT)
        if name == "grad_in.first_frame":
            equal(gradient[0] / value.abs().max(), value / value.abs().max(), within=GRADIENT)


def blocks_of(expected: dict[str, Tensor], suffix: str) -> dict[int, Tensor]:
    """Number of the block -> its tensor under `suffix`."""
    found = {}
    for name, value in expected.items():
        head, _, tail = name.partition(".")
        if head.startswith("block") and tail == suffix:
            found[int(head.removeprefix("block"))] = value
    return found


@pytest.mark.parametrize("case", **named(facts("evit")["evit_vit"]))
def test_evit(case: Case) -> None:
    expected = of_case("evit", "evit_vit", case)
    run = Run(EViT(keep=case["rho"], at=tuple(case["loc"]), fuse=case["fuse"]), case)
    assert [step.tokens_out for step in run.plan] == case["tokens_out"]
    assert [step.attended for step in run.plan] == case["tokens_attn"]
    assert [len(tokens) for tokens in run.after] == case["tokens_out"]
    for block, value in blocks_of(expected, "first").items():
        equal(run.after[block].x_CND[0], value, within=BLOCK)  # in the official order
    check_ends(run, expected)


@pytest.mark.parametrize("case", **named(facts("evit")["evit_fn"]))
def test_evit_between_attention_and_mlp(case: Case) -> None:
    expected = of_case("evit", "evit_fn", case)
    n, x = case["n"], expected["x"]
    method = EViT(keep=case["rho"], at=(0,), fuse=case["fuse"])
    (step,) = method.plan(tokens=n, frames=1, depth=1)
    layer: Any = method.wrap(Block(16, 2, "gelu"), step, 16)
    out = layer.reduce(Tokens(x, None, 1), cues_of(expected["cls_attn_heads"]))
    equal(out.x_CND, expected["out"], within=CLASS)
    kept = out.moves[0].sources[:, 1:] - 1
    assert torch.equal(kept, expected["kept"])
    assert out.sizes.sum(dim=1).flatten().tolist() == [
        n if case["fuse"] else case["n_out"] for _ in x
    ]


@pytest.mark.parametrize("case", **named(facts("diffrate")["diffrate_vit_hard"]))
def test_diffrate(case: Case) -> None:
    expected = of_case("diffrate", "diffrate_vit_hard", case)
    run = Run(DiffRate(tuple(case["prune_keep"]), tuple(case["merge_keep"])), case)
    assert [step.tokens_out for step in run.plan] == case["tokens_out"]
    assert [len(tokens) for tokens in run.after] == case["tokens_out"]
    for block, value in blocks_of(expected, "first").items():
        equal(in_any_order(run.after[block].x_CND[0]), in_any_order(value), within=BLOCK)
    for block, value in blocks_of(expected, "size_first").items():
        equal(run.after[block].sizes[0, :, 0].sort()[0], value.sort()[0], within=CLASS)
    check_ends(run, expected)
    frames = len(run.start.x_CND)
    ours = followed(run.after[-1], frames * TOKENS).view(frames, TOKENS)
    check_partition(ours, expected["assignment"])


def check_partition(ours: Tensor, theirs: Tensor) -> None:
    """The same tokens are lost, and the same ones ended together."""
    assert torch.equal(ours < 0, theirs < 0)
    for a, b in ((ours, theirs), (theirs, ours)):
        for row, other in zip(a, b, strict=True):
            assert all(len(other[row == place].unique()) == 1 for place in row.unique())


@pytest.mark.parametrize("case", **named(facts("diffrate")["diffrate_fn_block"]))
def test_diffrate_between_attention_and_mlp(case: Case) -> None:
    expected = of_case("diffrate", "diffrate_fn_block", case)
    method = DiffRate((case["prune_keep"],), (case["merge_keep"],))
    (step,) = method.plan(tokens=case["n"], frames=1, depth=1)
    layer: Any = method.wrap(Block(16, 2, "gelu"), step, 16)
    start = Tokens(expected["x"], expected["size"], 1)
    out = layer.reduce(start, cues_of(expected["cls_attn_heads"]))
    assert len(out) == case["n_out"]
    if step.intra:  # else nothing needs the official order
        equal(out.x_CND, expected["out"], within=CLASS)
        equal(out.sizes, expected["out_size"], within=CLASS)
    clips, n = expected["assignment"].shape
    check_partition(followed(out, clips * n).view(clips, n), expected["assignment"])


@pytest.mark.parametrize("case", **named(facts("sta")["sta_vit_frames"]))
def test_sta(case: Case) -> None:
    expected = of_case("sta", "sta_vit_frames", case)
    # The official attention has no bias for keys.
    run = Run(STA(tuple(case["r"]), tuple(case["layers"])), case, key_bias=False)
    assert [step.tokens_out for step in run.plan] == case["tokens_out"]
    assert [len(tokens) for tokens in run.after] == case["tokens_out"]
    for block, value in blocks_of(expected, "first").items():
        equal(run.after[block].x_CND[: case["frames"]], value, within=BLOCK)
    for block, value in blocks_of(expected, "first_frame").items():
        equal(run.after[block].x_CND[0], value, within=BLOCK)
    check_ends(run, expected)


@pytest.mark.parametrize("case", **named(facts("sta")["sta_fn"]))
def test_sta_survivors(case: Case) -> None:
    expected = of_case("sta", "sta_fn", case)
    x, keys = (expected[k].unflatten(1, (case["T"], case["n"])) for k in ("x", "keys"))
    kept = survivors(x, keys, drop=case["r"], backward=case["reverse"])
    assert torch.equal(kept.sort(dim=-1)[0], expected["kept"].sort(dim=-1)[0])


@pytest.mark.parametrize("case", **named(facts("testa")["testa_vit"]))
def test_testa(case: Case) -> None:
    expected = of_case("testa", "testa_vit", case)
    run = Run(settings_of(case), case)
    assert [step.tokens_out for step in run.plan] == case["tokens_out"]
    assert [step.clips_out for step in run.plan] == case["frames_out"]
    assert [tokens.clips_per_video for tokens in run.after] == case["frames_out"]
    assert [len(tokens.x_CND) // case["videos"] for tokens in run.after] == case["frames_out"]
    for block, value in blocks_of(expected, "first_frame").items():
        equal(run.after[block].x_CND[0], value, within=BLOCK)
    equal(run.after[-1].x_CND[: case["frames_out"][-1]], expected["block11.first"], within=BLOCK)
    for block, value in blocks_of(expected, "size").items():
        sizes = run.after[block].sizes
        assert torch.equal(sizes.long().flatten(), value.flatten())
        weights = run.after[block].frame_weights()
        if weights is not None:  # a frame weighs what its class token holds
            assert torch.equal(weights.flatten(), sizes[:, 0, 0])
    check_ends(run, expected)


def settings_of(case: Case) -> TESTA:
    """Our settings for the official merging type and number of every block."""
    types = case["merging_type"]
    types = types if isinstance(types, list) else (types.split("-") * len(case["r"]))
    merged = list(zip(types, case["r"], strict=False))
    at, frames_at = (
        tuple(i for i, (kind, r) in enumerate(merged) if kind == wanted and r)
        for wanted in ("patch", "frame")
    )
    return TESTA(
        r=merged[at[0]][1], at=at, merge_frames=merged[frames_at[0]][1], frames_at=frames_at
    )


@pytest.mark.parametrize("case", **named(facts("testa")["testa_fn"]))
def test_testa_merges_frames(case: Case) -> None:
    expected = of_case("testa", "testa_fn", case)
    r, frames = case["r_used"], case["frames"]
    assert r == min(case["r_asked"], (frames - case["class_token"]) // 2)
    pairs = match_frames(expected["metric"], r)
    if r:
        assert torch.equal(pairs.kept, expected["unm_idx"])
        assert torch.equal(pairs.moved, expected["src_idx"])
        assert torch.equal(pairs.target, expected["dst_idx"])
        x, size, keys = (expected[k].float().flatten(0, 1) for k in ("x", "size", "metric"))
        out, _ = merge_frames(Tokens(x, size, frames), keys, r)
        equal(out.x_CND, expected["out"].flatten(0, 1), within=CLASS)
        assert torch.equal(out.sizes.long(), expected["out_size"].flatten(0, 1))
