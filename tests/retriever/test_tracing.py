"""The ways of patches: what a Trace says of them, and what is drawn of the official assignment."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import tempme
from golden_models import Golden
from tempme.backbones.config import ClipConfig
from tempme.compression import EViT
from tempme.drawing.figure import Panel
from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo

SMALL = ClipConfig(image_size=32, patch=8, width=32, heads=2, text_width=32, text_heads=2, embed=16)
# Two videos of two frames, each a class token and three patches.
FIRST = torch.tensor([[0, 1, 2, 3, 4, 5, 6, 7], [0, 1, 2, 3, 4, 5, 6, 7]])
LAST = torch.tensor([[0, 2, 2, 3, 1, 2, -1, 4], [0, 2, 3, 4, 1, -1, -1, 4]])
WAY = tempme.Trace((FIRST, LAST), (8, 5), frames=2)


def test_sizes_and_spans_by_hand() -> None:
    assert WAY.assignment is LAST
    assert WAY.by_frame().tolist() == [[[2, 2, 3], [2, -1, 4]], [[2, 3, 4], [-1, -1, 4]]]
    assert WAY.sizes().tolist() == [[1, 1, 3, 1, 1], [1, 1, 1, 1, 2]]
    assert WAY.spans().tolist() == [[0, 0, 2, 1, 1], [0, 0, 1, 1, 2]]  # no patch: a class token
    assert WAY.spans(0)[0].tolist() == [0, 1, 1, 1, 0, 1, 1, 1]


@pytest.mark.parametrize("name", ["A", "B"])
def test_what_is_drawn_is_the_official_assignment(name: str) -> None:
    golden = Golden(name)
    way = tempme.trace(golden.build(), golden.frames)
    official = golden.tensors["assignment"].long()
    assert torch.equal(way.assignment, official)
    drawn = Panel.of(way, name="tempme", note="official")
    patches = official[0].view(12, -1)[:, 1:]
    assert drawn.places.tolist() == patches.tolist()
    spans = [len({f for f, row in enumerate(patches) if token in row}) for token in range(97)]
    assert way.spans()[0, :97].tolist() == spans


@pytest.mark.parametrize("name", ["clip4clip", "tome", "tempme"])
def test_tokens_span_frames_where_clips_joined(name: str) -> None:
    retriever = Retriever.build(zoo.system(name, backbone=SMALL, frames=4), None, seed=0)
    frames = torch.rand(1, 1, 3, 32, 32).expand(2, 4, 3, 32, 32)  # a still video
    way = tempme.trace(retriever, frames)
    assert int(way.spans().max()) == (4 if name == "tempme" else 1)
    assert (way.sizes().max() > 1) == (name != "clip4clip")


def test_pruned_patches_end_nowhere() -> None:
    made = zoo.system("evit", backbone=SMALL, frames=4)
    made = replace(made, compression=EViT(fuse=False))
    way = tempme.trace(Retriever.build(made, None, seed=0), torch.rand(1, 4, 3, 32, 32))
    dropped = sum(step.pruned for step in made.plan())
    assert way.by_frame().lt(0).sum(dim=2).tolist() == [[dropped] * 4]
    assert way.sizes().sum() == 4 * (17 - dropped)


def test_blocks_that_are_not_there_are_refused() -> None:
    assert Panel.of(WAY, name="x", note="", block=0).num_tokens == 8
    with pytest.raises(BadSetting, match="block is 2, but the blocks of the model are 0 to 1"):
        Panel.of(WAY, name="x", note="", block=2)
