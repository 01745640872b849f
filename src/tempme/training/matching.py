"""What UMT learns retrieval by: a contrastive loss, and whether a text fits a video.

Li et al., ICCV 2023, arXiv 2303.16058 (VTC and VTM), after ALBEF (Li et al., NeurIPS 2021). Shape
letters: V videos, T texts (as many, in pairs), P parts of a video, D feature, N words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from tempme.backbones.umt.bert import words_of
from tempme.backbones.umt.model import Umt, mean_cosines
from tempme.backbones.umt.vision import log_sizes, seen
from tempme.errors import BadSetting
from tempme.tokens import Tokens
from tempme.training.gather import gather, gather_ids, is_distributed


class Negatives(NamedTuple):
    """For each text a video that it does not describe, for each video a text that does not."""

    videos: Tensor  # (T,) indices
    texts: Tensor  # (V,)


class Losses(NamedTuple):
    """What a step minimises: the sum of both."""

    contrastive: Tensor
    matching: Tensor


def soft_targets(video_ids: Tensor) -> Tensor:
    """(V,) -> (V, V): each row shared evenly among the pairs that show its video."""
    same = (video_ids[:, None] == video_ids[None, :]).float()
    return same / same.sum(dim=1, keepdim=True)


def soft_contrastive_loss(
    cosines_VT: Tensor, temperature: Tensor | float, *, video_ids: Tensor | None = None
) -> Tensor:
    """(V, T) cosines of pairs -> the mean over both directions.

    With `video_ids` (V,) all captions of a video are right for it, to equal shares; without, its
    own alone.
    """
    if cosines_VT.ndim != 2 or cosines_VT.shape[0] != cosines_VT.shape[1]:
        raise BadSetting(
            f"the cosines are {tuple(cosines_VT.shape)}; the loss pairs rows and columns, so they "
            f"are (N, N): repeat the video of each caption"
        )
    ids = (
        torch.arange(len(cosines_VT), device=cosines_VT.device) if video_ids is None else video_ids
    )
    logits, targets = cosines_VT / temperature, soft_targets(ids)
    return (cross_entropy(logits, targets) + cross_entropy(logits.T, targets)) / 2


def negative_weights(logits_AB: Tensor, ids_A: Tensor, ids_B: Tensor) -> Tensor:
    """(A, B) cosines by temperature -> how likely each B is to be drawn as the negative of each A.

    The softmax of a row, without those of the same video (ids are those of videos); rows do not sum
    to one. The offset is the original's; it changes nothing.
    """
    weights = (logits_AB + 1e-4).softmax(dim=1)
    return weights.masked_fill(ids_A[:, None] == ids_B[None, :], 0)


def draw(logits_AB: Tensor, ids_A: Tensor, ids_B: Tensor) -> Tensor:
    """(A,): one negative of each row, drawn by `negative_weights`.

    Weights of a row that sum to zero in fp32, as at a low temperature, are no reason to stop, as
    they are in the original: what is drawn from is their softmax among themselves.
    """
    same = ids_A[:, None] == ids_B[None, :]
    if bool(same.all(dim=1).any()):
        raise BadSetting(
            f"a batch of {len(ids_B)} pairs has no negative for one of them: all show the same "
            f"video; take larger batches, or draw them from more videos"
        )
    shares = logits_AB.float().masked_fill(same, float("-inf")).softmax(dim=1)
    return torch.multinomial(shares, 1)[:, 0]


def matching_loss(logits: Tensor) -> Tensor:
    """(3 N, 2) logits of N pairs that fit, then 2 N that do not -> their mean cross-entropy."""
    fits = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    fits[: len(logits) // 3] = 1
    return cross_entropy(logits.float(), fits)


@dataclass(frozen=True)
class Pairs:
    """Texts and their videos, as both losses see them."""

    words: Tensor  # (N, W, D) from `text.read`
    hidden: Tensor  # (N, W)
    watched: Tensor  # (N, M, D) all tokens of the videos
    bias: Tensor | None  # (N, M) how much more they are seen
    texts: Tensor  # (N, embed)
    videos: Tensor  # (N, P, embed)
    ids: Tensor  # (N,) of the videos

    @classmethod
    def of(
        cls, umt: Umt, videos: Tokens, words: Tokens, ids: Tensor, *, by_size: bool = False
    ) -> Pairs:
        """N videos and their N texts, from `encode_videos` and `text.read`."""
        hidden = words.watched.hidden_CN
        if hidden is None:
            raise BadSetting("words without a mask: take them from `text.embed`")
        return cls(
            words.x_CND,
            hidden,
            seen(videos),
            log_sizes(videos) if by_size else None,
            umt.text.project(words),
            umt.vision.project(videos),
            ids,
        )

    def gathered(self) -> Pairs:
        """The pairs of all processes; this one alone needs nothing."""
        return Pairs(
            gather(self.words),
            gather_ids(self.hidden),
            gather(self.watched),
            None if self.bias is None else gather(self.bias),
            gather(self.texts),
            gather(self.videos),
            gather_ids(self.ids),
        )


@torch.no_grad()
def draw_negatives(own: Pairs, others: Pairs, temperature: Tensor | float) -> Negatives:
    """One of `others` for each text and each video: the more alike, the more likely."""
    by_text = mean_cosines(others.videos, own.texts).T / temperature
    by_video = mean_cosines(own.videos, others.texts) / temperature
    return Negatives(draw(by_text, own.ids, others.ids), draw(by_video, own.ids, others.ids))


def matching_logits(umt: Umt, own: Pairs, others: Pairs, negatives: Negatives) -> Tensor:
    """(3 N, 2): each text with its video, each with its negative, each video with its negative."""
    watched = torch.cat([own.watched, others.watched[negatives.videos], own.watched])
    bias = None
    if own.bias is not None and others.bias is not None:
        bias = torch.cat([own.bias, others.bias[negatives.videos], own.bias])
    words = words_of(
        torch.cat([own.words, own.words, others.words[negatives.texts]]),
        torch.cat([own.hidden, own.hidden, others.hidden[negatives.texts]]),
    )
    return umt.fits(words, watched, bias)


def retrieval_losses(
    umt: Umt, own: Pairs, *, gather_negatives: bool = False, negatives: Negatives | None = None
) -> Losses:
    """Both losses of the pairs of this process; the contrastive one is over those of all.

    gather_negatives: negatives of matching are of all processes, too (the original's: own).
    negatives: those to take, rather than to draw.
    """
    others = own.gathered() if gather_negatives and is_distributed() else own
    if negatives is None:
        negatives = draw_negatives(own, others, umt.temperature)
    matching = matching_loss(matching_logits(umt, own, others, negatives))
    return Losses(contrastive_of(umt, own), matching)


def contrastive_of(umt: Umt, own: Pairs) -> Tensor:
    """The contrastive loss over the pairs of all processes."""
    texts, videos = gather(own.texts), gather(own.videos)
    cosines, ids = mean_cosines(videos, texts), gather_ids(own.ids)
    return soft_contrastive_loss(cosines, umt.temperature, video_ids=ids)
