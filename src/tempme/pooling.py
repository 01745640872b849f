"""The class tokens of a video (or what a tuning has in their place) -> one feature.

CLIP4Clip (Luo et al., 2021, arXiv 2104.08860, section 3.3) calls the mean its parameter-free type.
Where whole frames merged, a class token counts as often as its frames. A backbone without class
tokens makes one of the tokens of every clip first, before its last norm (`TokenMean`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor
from torch.nn.functional import normalize

from tempme.errors import BadSetting
from tempme.tokens import Tokens


class Pooling(Protocol):
    """Settings that make one feature of what the image encoder projects."""

    def __call__(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:
        """(V, P, D) -> (V, D), not yet unit length."""


@dataclass(frozen=True)
class MeanPooling:
    """The mean of the class tokens, each of unit length (CLIP4Clip).

    unit: whether they are made unit length; PLEVU takes them as they are, long or short.
    """

    unit: bool = True

    def __call__(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:
        """(V, P, D) class tokens in the space of texts -> (V, D), not yet unit length.

        `mask` (V, P) is 1 for frames that count, or the number of frames that a class token
        stands for where frames merged; a video without any gets the zero feature.
        """
        each = normalize(projected, dim=-1) if self.unit else projected
        if mask is None:
            return each.mean(dim=1)
        weight = mask.to(each.dtype)[..., None]
        return (each * weight).sum(dim=1) / weight.sum(dim=1).clamp(min=1)


@dataclass(frozen=True)
class SequencePooling(MeanPooling):
    """The mean of frames that have seen each other in a small transformer (CLIP4Clip's seqTransf).

    layers: of the transformer (`backbones.frame_transformer`), which stands before the mean.
    """

    layers: int = 4

    def __post_init__(self) -> None:
        if self.layers < 1:
            raise BadSetting(f"pooling.layers is {self.layers}; it must be 1 or more")

    def check(self, tokens: int, *, places: int) -> None:
        """BadSetting where a video has more class tokens than the transformer has places."""
        if tokens > places:
            raise BadSetting(
                f"{tokens} class tokens of a video, but seqTransf has {places} places: take fewer "
                f"frames"
            )

    def products(self, tokens: int, width: int) -> int:
        """Multiply-adds of a video with so many class tokens."""
        return self.layers * (12 * tokens * width**2 + 2 * tokens**2 * width)


@dataclass(frozen=True)
class FirstPooling:
    """The first token alone: one that has seen all frames by itself (DGL)."""

    def __call__(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:  # noqa: ARG002
        """(V, P, D) -> (V, D); a mask changes nothing."""
        return projected[:, 0]


@dataclass(frozen=True)
class TokenMean:
    """The mean of all tokens, in the place of a class token that the backbone does not have (UMT).

    weighted: whether a token counts as often as the patches it holds; else every token once.
    whole_video: whether it is of all clips of a video; else of every clip.
    """

    weighted: bool = True
    whole_video: bool = False

    def __call__(self, tokens: Tokens, mask: Tensor | None = None) -> Tensor:
        """Tokens -> (V, clips, D), or (V, 1, D) of whole videos.

        `mask` (V, F) is 1 for frames that count, however late they were joined: a token counts by
        its patches of these, and is left out where it has none. The mean of no token is zero.
        """
        size = tokens.sizes if mask is None else tokens.counted(mask)
        weight = size if self.weighted else (size > 0).to(size.dtype)
        clips = 1 if self.whole_video else tokens.clips_per_video
        x, weight = (
            part.float().reshape(tokens.num_videos, clips, -1, part.shape[-1])
            for part in (tokens.x_CND, weight)
        )
        mean = (x * weight).sum(dim=2) / weight.sum(dim=2).clamp(min=1)
        return mean.to(tokens.x_CND.dtype)


@dataclass(frozen=True)
class TokenPooling:
    """`TokenMean` of every part of a video, then the mean of the parts, each of unit length.

    Of a backbone without class tokens (UMT).

    weighted: whether a token counts as often as the patches it holds; else every token once.
    whole_video: whether the mean is of all clips of a video; else of every clip.
    """

    weighted: bool = True
    whole_video: bool = False

    @property
    def tokens(self) -> TokenMean:
        """What comes before the last norm and the projection."""
        return TokenMean(self.weighted, self.whole_video)

    def __call__(self, projected: Tensor, mask: Tensor | None = None) -> Tensor:
        """(V, P, D) parts in the space of texts -> (V, D), not yet unit length."""
        return MeanPooling()(projected, mask)


POOLINGS: dict[str, type] = {
    "mean": MeanPooling,
    "sequence": SequencePooling,
    "first": FirstPooling,
    "tokens": TokenPooling,
}
