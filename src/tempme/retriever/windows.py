"""What overlapping windows of a film share, computed once: frames, then clips that have joined.

Before the first join a frame is the same in every window that shows it. A clip that has joined is
the same, too, where its frames are and where it stands does not matter (`Layer.joins_alike`); so
only what comes from the last join on is computed for every window.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor, nn

from tempme.backbones.layers import Layer
from tempme.tokens import Tokens

# Shape letters: N distinct frames, W windows, F frames of a window, C clips of a window.


def before_they_differ(
    tokens: Tokens, windows_WF: Tensor, layers: Sequence[nn.Module]
) -> tuple[Tokens, int]:
    """Tokens of N distinct frames, through the blocks that windows share.

    Returns the tokens of W windows, and the number of the first block that they still have to go
    through, each by itself.
    """
    some = cast("Sequence[Layer]", layers)
    clips_WC, first = windows_WF, 0
    last_join = max((i for i, layer in enumerate(some) if layer.joins > 1), default=-1)
    for layer in some:
        meets = not layer.sees_one_frame
        if meets and (first >= last_join or not layer.joins_alike):
            break
        if layer.joins > 1:
            tokens, clips_WC = _of_distinct_clips(tokens, clips_WC, layer.joins)
        tokens = layer(tokens)
        first += 1
    of_windows = tokens.rows(clips_WC.flatten(), clips_per_video=clips_WC.shape[1])
    return of_windows, first


def _of_distinct_clips(tokens: Tokens, clips_WC: Tensor, k: int) -> tuple[Tokens, Tensor]:
    """Every k clips that some window joins, once; and (W, C / k) which of them a window shows."""
    wanted = clips_WC.unflatten(1, (-1, k)).flatten(0, 1)
    distinct, which = wanted.unique(dim=0, return_inverse=True)
    return tokens.rows(distinct.flatten(), clips_per_video=k), which.view(len(clips_WC), -1)
