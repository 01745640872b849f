"""What windows of one film cost together: multiply-adds of `Retriever.encode_windows`.

Windows that overlap share what they show (`retriever.windows`), so that an hour of a film costs
less than its windows one by one. How much less depends on the system: a dense encoder sees every
frame once.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tempme.cost import NOTHING, block_macs, patches_macs
from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.retriever.windows import shared_blocks, shared_clips

# Shape letters: W windows, F frames of a window.


def windows_of(frames: int, *, window: int, stride: int) -> Tensor:
    """(W, F) frames of the windows that start `stride` frames apart, of a film of so many frames.

    What is left behind the last whole window is in none. BadSetting where there is none.
    """
    if min(window, stride) < 1 or frames < window:
        raise BadSetting(
            f"window is {window}, stride {stride} and the film has {frames} frames: give both 1 or "
            f"more, and as many frames as a window has"
        )
    starts = torch.arange(0, frames - window + 1, stride)
    return starts[:, None] + torch.arange(window)


def gmacs_of_windows(retriever: Retriever, windows_WF: Tensor) -> float:
    """Giga multiply-adds of encoding these windows together, counted from integers alone.

    Every frame up to the last that they show counts as shown by some. BadSetting where a tuning
    adds products of its own: which of them windows share is not known here.
    """
    system, vision = retriever.system, retriever.backbone.vision
    plan, config = system.plan(), system.config
    if system.tuning.extra(plan, config) != NOTHING:
        raise BadSetting(
            f"{system.name} is tuned by {type(system.tuning).__name__}, which adds products to "
            f"every block: only systems tuned by lora or full are counted by windows"
        )
    blocks = [block_macs(step, config) for step in plan]
    whole, patches = round(system.cost().gmacs * 1e9), patches_macs(config)
    ends = whole - sum(blocks) - system.frames * patches  # the projection
    pixels = torch.empty(int(windows_WF.max()) + 1, 0)
    shared = shared_clips(pixels, windows_WF, vision)
    if shared is None:
        return len(windows_WF) * whole / 1e9
    if vision.frame_layers == len(vision.layers):
        return len(windows_WF.unique()) * whole / system.frames / 1e9
    clips, which = shared
    begun = clips.shape[1]
    distinct = len(which.unique())
    macs, first = distinct * begun * patches, 0
    for joined, _ in shared_blocks(which, list(vision.layers), begun=begun):
        distinct = distinct if joined is None else len(joined)
        macs += distinct * blocks[first] // plan[first].clips
        first += 1
    return (macs + len(windows_WF) * (sum(blocks[first:]) + ends)) / 1e9
