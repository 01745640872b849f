"""Which tokens of UMT merge, in what order, and where every patch ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from golden_umt import Facts, GoldenUmt
from golden_umt_near import near
from tempme.backbones.umt.vision import seen
from tempme.merging import Matching
from tempme.pooling import TokenMean
from tempme.tokens import Tokens


def check_merges(name: str, tokens: Tokens, facts: Facts, expected: dict[str, Tensor]) -> None:
    found = merges(tokens)
    numbers = [n for layer in facts["layers"] for n in layer["merge_numbers"] if n]
    assert [matching.moved.shape[1] for matching in found] == numbers
    for place, matching in enumerate(found):
        assert matching.a_starts_at == 0
        head = f"{name}.merge{place:02d}."
        for kind, ours in (
            ("unm", matching.kept),
            ("src", matching.moved),
            ("dst", matching.target),
        ):
            if f"{head}{kind}.video0" in expected:
                wanted = expected[f"{head}{kind}.video0"].long()
                assert torch.equal(ours[: len(wanted)], wanted), (head, kind)


def check_ends(golden: GoldenUmt, name: str, vision: Any, tokens: Tokens, start: Tokens) -> None:
    expected, facts = golden.tensors("g_tempme"), golden.facts("g_tempme")[name]
    assert tokens.clips_per_video == facts["final_clips"]
    assert tokens.clips_per_video * len(tokens) == facts["final_tokens"]
    some = expected[f"{name}.tokens"]
    near(seen(tokens)[: len(some)], some)
    sizes = tokens.sizes.reshape(tokens.num_videos, -1)
    assert torch.equal(sizes, expected[f"{name}.size"])
    assert sizes.sum(dim=1).tolist() == facts["size_sum"]
    near(vision.pool(tokens, TokenMean(whole_video=True)), expected[f"{name}.pooled_weighted"])
    near(
        vision.pool(tokens, TokenMean(weighted=False, whole_video=True)),
        expected[f"{name}.pooled_plain"],
    )
    if f"{name}.pooled_per_clip_weighted" in expected:
        near(vision.pool(tokens), expected[f"{name}.pooled_per_clip_weighted"])
    if f"{name}.assignment" in expected:
        patches = len(start.x_CND) * len(start)
        wanted = expected[f"{name}.assignment"].long()
        assert torch.equal(assignment(tokens, patches), wanted)


def merges(tokens: Tokens) -> list[Any]:
    """The matchings on the way, without the joins."""
    return [move for move in tokens.moves if isinstance(move, Matching)]


def assignment(tokens: Tokens, patches: int) -> Tensor:
    """(clips, patches of a clip) the token of its clip that every patch ends in.

    The patches of a clip are counted frame after frame.
    """
    rows = torch.arange(patches)
    for move in tokens.moves:
        rows = move.ends[rows]
    return (rows % len(tokens)).view(len(tokens.x_CND), -1)
