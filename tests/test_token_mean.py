"""Tokens without a class token: what a feature is made of, and how often each counts."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tempme.merging import fuse, join_clips, keep, match, merge
from tempme.pooling import TokenMean
from tempme.tokens import Tokens, followed

FRAMES, PATCHES, WIDTH = 4, 6, 3


def tokens_of(videos: int = 2) -> Tokens:
    x = torch.randn(videos * FRAMES, PATCHES, WIDTH)
    return Tokens(x, None, clips_per_video=FRAMES, num_protected=0)


def patches(tokens: Tokens) -> Tensor:
    """(V, F, patches, D): before any clip was joined."""
    return tokens.x_CND.unflatten(0, (-1, FRAMES))


def reduced(start: Tokens) -> Tokens:
    """Merge in frames, join two and two, merge across, join, and merge again."""
    tokens = merge(start, 2, similar_by=start.x_CND)
    tokens = join_clips(tokens, 2)
    tokens = merge(tokens, 3, similar_by=tokens.x_CND)
    tokens = join_clips(tokens, 2)
    return merge(tokens, 4, similar_by=tokens.x_CND)


def test_a_feature_is_made_of_all_tokens() -> None:
    tokens = tokens_of()
    assert tokens.protected() is tokens
    assert len(replace(tokens, num_protected=2).protected()) == 2


def test_the_first_token_merges_like_any_other_by_hand() -> None:
    east, north = [1.0, 0.0], [0.0, 1.0]
    like = torch.tensor([[east, north, north, east]])
    pairs = match(like, 2, 0)  # 0 and 2 may move, 1 and 3 receive
    assert pairs.moving.tolist() == [[0, 2]]
    x = torch.tensor([[[1.0], [2.0], [4.0], [5.0]]])
    out = fuse(Tokens(x, None, 1, num_protected=0), pairs)
    assert out.x_CND.flatten().tolist() == [3, 3]
    assert out.sizes.flatten().tolist() == [2, 2]


def test_every_clip_has_its_mean_and_the_video_one() -> None:
    tokens = tokens_of()
    for weighted in (True, False):  # nothing merged: all tokens alike
        torch.testing.assert_close(TokenMean(weighted)(tokens), patches(tokens).mean(dim=2))
        whole = TokenMean(weighted, whole_video=True)(tokens)
        torch.testing.assert_close(whole, patches(tokens).mean(dim=(1, 2))[:, None])


def test_weighted_by_size_merging_leaves_the_mean_as_it_is() -> None:
    start = tokens_of()
    end = reduced(start)
    torch.testing.assert_close(TokenMean()(end), patches(start).mean(dim=(1, 2))[:, None])
    plain = TokenMean(weighted=False)(end)
    torch.testing.assert_close(plain, end.x_CND.mean(dim=1, keepdim=True))
    assert not torch.allclose(plain, TokenMean()(end), atol=1e-3)


@pytest.mark.parametrize("counted", [[0], [1, 3], [0, 1, 2, 3]])
def test_a_mask_counts_patches_wherever_they_ended(counted: list[int]) -> None:
    start = tokens_of()
    mask = torch.zeros(2, FRAMES)
    mask[1, counted] = 1  # in the first video no frame counts
    end = reduced(start)
    held = torch.zeros(2, len(end))
    ends = followed(torch.arange(2 * FRAMES * PATCHES), end.moves).view(2, FRAMES, PATCHES)
    for frame in counted:
        for row in ends[1, frame].tolist():
            held[1, row - len(end)] += 1
    assert torch.equal(end.counted(mask).squeeze(-1), held)
    weighted, plain = TokenMean()(end, mask), TokenMean(weighted=False)(end, mask)
    assert not weighted[0].any()
    assert not plain[0].any()
    wanted = (end.x_CND[1] * held[1, :, None]).sum(dim=0) / (len(counted) * PATCHES)
    torch.testing.assert_close(weighted[1, 0], wanted)
    torch.testing.assert_close(plain[1, 0], end.x_CND[1, held[1] > 0].mean(dim=0))


def test_patches_that_were_dropped_count_nowhere() -> None:
    start = tokens_of(1)
    left = keep(start, torch.arange(2, PATCHES).expand(FRAMES, -1))
    mask = torch.tensor([[1, 0, 1, 1]])
    assert left.counted(mask).sum(dim=1).flatten().tolist() == [4, 0, 4, 4]
    torch.testing.assert_close(TokenMean()(left, mask)[0, 1], torch.zeros(WIDTH))


def test_clips_weigh_as_many_frames_as_count() -> None:
    mask = torch.tensor([[1, 1, 0, 1], [0, 0, 0, 0]])
    tokens = tokens_of()
    assert tokens.frame_weights() is None
    for k, weights in ((1, mask.tolist()), (2, [[2, 1], [0, 0]]), (4, [[3], [0]])):
        found = join_clips(tokens, k).frame_weights(mask)
        assert found is not None
        assert found.tolist() == weights
    # Class tokens of joined frames stay apart, so that the mask holds as it is.
    led = replace(tokens, num_protected=1)
    assert join_clips(led, 2).frame_weights(mask) is mask


def test_the_mean_is_exact_in_half_precision_but_for_its_last_rounding() -> None:
    end = reduced(tokens_of())
    half = replace(end, x_CND=end.x_CND.bfloat16())
    exact = TokenMean()(replace(half, x_CND=half.x_CND.float()))
    assert torch.equal(TokenMean()(half), exact.bfloat16())
