"""What overlapping windows of a film share, computed once: frames, then clips that have joined.

Before the first join a frame is the same in every window that shows it, and so are neighbouring
frames that a compression puts into one clip before the first block. A clip that has joined is
the same, too, where its frames are and where it stands does not matter (`Layer.joins_alike`); so
only what comes from the join on that makes one clip of a window is computed for every window.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, cast

from torch import Tensor, nn

from tempme.backbones.layers import Layer
from tempme.tokens import Tokens

if TYPE_CHECKING:
    from tempme.backbones.umt.vision import VideoEncoder
    from tempme.backbones.vision import VisionTower

# Shape letters: N distinct frames, W windows, F frames of a window, C clips of a window, K frames
# of a clip before the first block.


def shared_clips(
    frames: Tensor, windows_WF: Tensor, vision: VisionTower | VideoEncoder
) -> tuple[Tensor, Tensor] | None:
    """The clips that windows share before the first block, and (W, F / K) which a window shows.

    frames: (N, 3, H, W). The clips are (C, K, 3, H, W): single frames, or neighbours that are
    compared with each other and put into one. None where windows share nothing.
    """
    if not vision.places_alike:
        return None
    if vision.shares_frames:
        return frames[:, None], windows_WF
    first = cast("Layer", vision.layers[0])
    k = first.joins
    is_shared = first.joins_alike and len(vision.layers) > 1
    if not is_shared or k == 1 or k == windows_WF.shape[1]:
        return None
    distinct, which = _distinct(windows_WF, k)
    return frames[distinct], which


def before_they_differ(
    tokens: Tokens, clips_WC: Tensor, layers: Sequence[nn.Module]
) -> tuple[Tokens, int]:
    """Tokens of distinct clips, each a video of its own, through the blocks that windows share.

    Returns the tokens of W windows, and the number of the first block that they still have to go
    through, each by itself.
    """
    first = 0
    for joined, which_WC in shared_blocks(clips_WC, layers, begun=tokens.clips_per_video):
        clips_WC = which_WC
        if joined is not None:
            tokens = tokens.rows(joined.flatten(), clips_per_video=joined.shape[1])
        tokens = layers[first](tokens)
        first += 1
    of_windows = tokens.rows(clips_WC.flatten(), clips_per_video=clips_WC.shape[1])
    return of_windows, first


def shared_blocks(
    clips_WC: Tensor, layers: Sequence[nn.Module], *, begun: int
) -> Iterator[tuple[Tensor | None, Tensor]]:
    """What becomes of the clips that W windows show, in each leading block that they share.

    Which clips (D, k) join before it, each once, or None where none do; and (W, C) which of those
    that there are then a window shows. begun: frames of a clip before the first block.
    """
    for layer in cast("Sequence[Layer]", layers[:-1]):  # the last runs for class tokens alone
        k = layer.joins if layer.joins > begun else 1
        is_whole = 1 < clips_WC.shape[1] <= k  # one clip of all that a window shows
        if not layer.sees_one_frame and (is_whole or not layer.joins_alike):
            return
        joined = None
        if k > 1:
            joined, clips_WC = _distinct(clips_WC, k)
        begun = 1
        yield joined, clips_WC


def _distinct(clips_WC: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """(D, k) neighbours, each once, and (W, C / k) the number of those that a window shows."""
    wanted = clips_WC.unflatten(1, (-1, k)).flatten(0, 1)
    distinct, which = wanted.unique(dim=0, return_inverse=True)
    return distinct, which.view(len(clips_WC), clips_WC.shape[1] // k)
