"""What every row computes, operation by operation: no map of attention, and no loop over frames."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from tempme.retriever.retriever import Retriever
from tempme.systems import table as zoo
from tiny_systems import TINY, tiny, videos

# Each frame depends on what stayed in the one before: only that recurrence walks, on small scores.
WALKS = ("sta",)
FEW = 12  # tokens; more in both directions, for every head, is a map of attention


class Operations(TorchDispatchMode):
    """Counts what runs, and keeps the shapes that come out."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        self.shapes: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        del types
        self.count += 1
        out = func(*args, **(kwargs or {}))
        for made in out if isinstance(out, tuple | list) else (out,):
            if isinstance(made, Tensor):
                self.shapes.append(tuple(made.shape))
        return out

    @property
    def maps(self) -> list[tuple[int, ...]]:
        """Shapes of attention maps: (clips, heads, queries, keys)."""
        return [
            shape
            for shape in self.shapes
            if len(shape) == 4 and shape[1] == TINY.heads and min(shape[2:]) > FEW
        ]


@torch.no_grad()
def operations(name: str, frames: int) -> Operations:
    retriever = Retriever.build(
        zoo.system(name, backbone=TINY, frames=frames), None, seed=0
    ).for_inference("fp32")
    given = videos(1, frames)
    with Operations() as seen:
        retriever.encode_videos(given)
    return seen


@pytest.mark.parametrize("name", zoo.PAPER)
@pytest.mark.one_in(12)
def test_no_map_of_attention_is_made(name: str) -> None:
    assert not operations(name, 12).maps


def test_a_map_would_be_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempme.backbones.attention._recomputes", lambda *_: False)
    retriever, given = tiny("lora"), videos(1)
    with Operations() as seen:
        retriever.encode_videos(given)  # with gradients: products that are spelled out
    assert seen.maps


@pytest.mark.parametrize("name", [name for name in zoo.PAPER if name not in WALKS])
@pytest.mark.one_in(8)
def test_more_frames_are_no_more_operations(name: str) -> None:
    few, many = operations(name, 12), operations(name, 24)
    assert many.count == few.count


def test_a_walk_through_frames_is_short() -> None:
    """A few operations (views too) on scores for a frame of a stage; features move once."""
    few, many = operations("sta", 12), operations("sta", 24)
    assert many.count - few.count <= 20 * 3 * 12
    wide = [shape for shape in many.shapes if shape[-1:] == (TINY.width,)]
    assert len(wide) == len([s for s in few.shapes if s[-1:] == (TINY.width,)])
