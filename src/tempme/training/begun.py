"""What of the image tower does not learn, computed once for videos that are shown many times."""

from __future__ import annotations

import torch
from torch import Tensor

from tempme.errors import BadSetting
from tempme.retriever import precision as numbers
from tempme.retriever.retriever import Retriever
from tempme.systems.system import check_frames
from tempme.tokens import Tokens


def frozen_layers(retriever: Retriever) -> int:
    """Leading image blocks that do not learn, and see one frame at a time or others as they are."""
    vision = retriever.backbone.vision
    if _embedding_learns(retriever) or not vision.places_alike:
        return 0
    last = vision.frame_layers if vision.shares_frames else len(vision.layers)
    for i, layer in enumerate(vision.layers[:last]):
        if any(p.requires_grad for p in layer.parameters()):
            return i
    return last


@torch.no_grad()
def begin(retriever: Retriever, frames: Tensor) -> Tokens:
    """(V, F, 3, H, W) from `transform` -> tokens after the frozen layers.

    Of frames that are not compared with each other (`shares_frames`), those of a video backwards
    are the same.
    """
    retriever.check_videos(frames)
    if not retriever.backbone.vision.places_alike:
        raise BadSetting(
            f"in {retriever.system.name} a frame is another one at every place of a video, so that "
            f"nothing can be computed once: learn without a pool (data.pool = 0)"
        )
    if _embedding_learns(retriever):
        raise BadSetting(
            f"in {retriever.system.name} something learns before the first image block, so that "
            f"nothing can be computed once: tune images from a later block on "
            f"(vision_from = 1 or more), or learn without a pool (data.pool = 0)"
        )
    tokens = retriever.embed(frames)
    with numbers.context(retriever.precision, retriever.device):
        for layer in retriever.backbone.vision.layers[: frozen_layers(retriever)]:
            tokens = layer(tokens)
    return tokens


def encode_begun(retriever: Retriever, tokens: Tokens) -> Tensor:
    """Tokens of V videos from `begin` -> (V, D) unit features."""
    of_a_clip = 1 if tokens.shown is None else tokens.shown.rows_CFP.shape[1]
    check_frames(retriever.system, of_a_clip * tokens.clips_per_video)
    return retriever.encode_tokens(tokens, first=frozen_layers(retriever))


def _embedding_learns(retriever: Retriever) -> bool:
    """Whether anything before the first image block requires gradients."""
    return any(p.requires_grad for p in retriever.backbone.vision.entering())
