"""The symmetric contrastive loss over the pairs of a batch, gathered from all processes.

CLIP (Radford et al., ICML 2021), as CLIP4Clip and TempMe train: text i and video i are a pair, and
every other video (text) of the batch is a negative. Shape letters: T texts, V videos, D feature.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tempme.errors import BadSetting


def contrastive_loss(
    texts: Tensor, videos: Tensor, logit_scale: Tensor | float, *, video_ids: Tensor | None = None
) -> Tensor:
    """Unit features (T, D) and (V, D), T = V -> the mean of both cross-entropies.

    `logit_scale` is the logarithm of the scale, as CLIP stores it. With `video_ids` (V,) two
    captions of one video in a batch are not negatives of each other; the published recipes, which
    call them negatives, are the default.
    """
    if texts.shape != videos.shape or texts.ndim != 2:
        raise BadSetting(
            f"texts are {tuple(texts.shape)} and videos {tuple(videos.shape)}; the loss pairs the"
            " rows, so both are (N, D): repeat the video of each caption"
        )
    scale = torch.as_tensor(logit_scale, device=texts.device).float().exp()
    # In fp32 whatever the trainer's precision: at scale 100 a bf16 logit is off by half a unit.
    with torch.autocast(texts.device.type, enabled=False):
        logits = scale * (texts.float() @ videos.float().T)
        return symmetric_cross_entropy(logits, video_ids=video_ids)


def symmetric_cross_entropy(logits: Tensor, *, video_ids: Tensor | None = None) -> Tensor:
    """(N, N) logits whose diagonal is right -> the mean over rows and columns."""
    if video_ids is not None:
        logits = logits.masked_fill(_same_video(video_ids), -torch.inf)
    right = torch.arange(len(logits), device=logits.device)
    return (cross_entropy(logits, right) + cross_entropy(logits.T, right)) / 2


def _same_video(video_ids: Tensor) -> Tensor:
    """(N, N) True off the diagonal where two pairs show one video."""
    same = video_ids[:, None] == video_ids[None, :]
    return same & ~torch.eye(len(video_ids), dtype=torch.bool, device=video_ids.device)
