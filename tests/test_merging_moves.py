"""What is kept, dropped and joined, and where: by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from tempme.errors import BadSetting
from tempme.merging import Join, Selection, fuse, join_clips, keep, match
from tempme.tokens import Tokens


def tokens_of(x: Tensor, protected: int = 1, size: Tensor | None = None) -> Tokens:
    return Tokens(x, size, clips_per_video=len(x), num_protected=protected)


@pytest.mark.parametrize("sized", [True, False])
def test_kept_tokens_by_hand(sized: bool) -> None:
    x = torch.arange(2 * 5 * 3.0).view(2, 5, 3)
    size = torch.arange(1.0, 11.0).view(2, 5, 1) if sized else None
    kept = keep(tokens_of(x, size=size), torch.tensor([[3, 1], [2, 4]]))
    rows = torch.tensor([0, 3, 1, 5, 7, 9])  # the class token, then those asked for, as asked
    assert torch.equal(kept.x_CND, x.view(10, 3)[rows].view(2, 3, 3))
    if size is None:
        assert kept.size_CN1 is None
    else:
        assert kept.size_CN1 is not None
        assert torch.equal(kept.size_CN1, size.view(10, 1)[rows].view(2, 3, 1))
    (move,) = kept.moves
    assert isinstance(move, Selection)
    assert move.sources.tolist() == [[0, 3, 1], [0, 2, 4]]
    assert move.moving.shape == move.slots.shape == (2, 0)
    assert (move.num_tokens, move.num_out) == (5, 3)
    assert move.ends.tolist() == [0, 2, -1, 1, -1, 3, -1, 4, -1, 5]


def test_tokens_take_along_where_they_started() -> None:
    place = torch.tensor([[9, 0, 1, 2, 3], [9, 4, 5, 6, 7]])
    tokens = replace(tokens_of(torch.randn(2, 5, 3)), place_CN=place)
    kept = keep(tokens, torch.tensor([[3, 1], [2, 4]]))
    assert kept.place_CN is not None
    assert kept.place_CN.tolist() == [[9, 2, 0], [9, 5, 7]]
    merged = fuse(tokens, match(tokens.x_CND, 1, 1))
    assert merged.place_CN is not None
    assert merged.place_CN.shape == (2, 4)
    assert [row[0] for row in merged.place_CN.tolist()] == [9, 9]
    for merged_row, row in zip(merged.place_CN.tolist(), place.tolist(), strict=True):
        assert set(merged_row) < set(row)
    joined = join_clips(tokens, 2)
    assert joined.place_CN is not None
    assert joined.place_CN.tolist() == [[9, 9, 0, 1, 2, 3, 4, 5, 6, 7]]


def test_all_protected_tokens_are_kept() -> None:
    x = torch.arange(6.0).view(1, 6, 1)
    before = replace(tokens_of(x, protected=2), moves=(Join(1, (1, 6), 2, x.device),))
    kept = keep(before, torch.tensor([[5]]))
    assert kept.x_CND.flatten().tolist() == [0, 1, 5]
    assert kept.moves[:-1] == before.moves


def test_joined_clips_know_their_number_and_sizes() -> None:
    x = torch.arange(12.0).view(4, 3, 1)
    joined = join_clips(tokens_of(x), 2)
    assert joined.size_CN1 is None
    assert (joined.clips_per_video, joined.num_protected) == (2, 2)
    assert isinstance(joined.clips_per_video, int)
    sized = join_clips(tokens_of(x, size=x + 1), 2)
    assert sized.size_CN1 is not None
    assert torch.equal(sized.size_CN1, sized.x_CND + 1)
    with pytest.raises(BadSetting, match="4 clips cannot be joined by 3"):
        join_clips(tokens_of(x), 3)


def test_everything_happens_where_the_tokens_are() -> None:
    """A device that computes nothing: whatever is made on another one is refused by torch."""
    x = torch.empty(4, 9, 8, device="meta", requires_grad=True)
    joined = join_clips(tokens_of(x), 2)
    pairs = match(torch.randn(2, 18, 8), 3, 2)  # which asks for the autocast of the device
    places = {name: getattr(pairs, name).to("meta") for name in ("kept", "moved", "target")}
    merged = fuse(joined, replace(pairs, **places))
    kept = keep(merged, torch.zeros(2, 4, dtype=torch.int64, device="meta"))
    for move in kept.moves:
        assert move.ends.device.type == "meta"
    (gradient,) = torch.autograd.grad(kept.x_CND.sum(), x)
    assert gradient.shape == x.shape
    assert gradient.device.type == "meta"
