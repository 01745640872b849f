"""UMT: a video encoder, a text encoder, and words that look at a video to tell whether they fit."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.text import UmtText, initialise
from tempme.backbones.umt.vision import UmtVision, log_sizes, seen
from tempme.tokens import Tokens

# Shape letters: V videos, P parts of a video (frames, clips), T texts, N words, D width.

COLDEST, HOTTEST = 0.001, 0.5  # where training keeps the temperature


class Umt(nn.Module):
    """Videos and texts -> features in one space, and how well a text fits a video."""

    def __init__(self, config: UmtConfig) -> None:
        super().__init__()
        self.config = config
        self.vision, self.text = UmtVision(config), UmtText(config)
        self.temperature = nn.Parameter(torch.tensor(0.07))
        self.match_head = nn.Linear(config.text_width, 2)
        initialise(self)

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of what cosines are multiplied by: that of one by the temperature."""
        return -self.temperature.log()

    @torch.no_grad()
    def keep_temperature(self) -> None:
        """Put the temperature back to where training keeps it, if a step led out of there."""
        self.temperature.clamp_(COLDEST, HOTTEST)

    def encode_videos(self, frames: Tensor) -> Tokens:
        """(V, F, 3, H, W) -> the tokens of the videos, normed."""
        return self.vision.encode(self.vision.embed(frames))

    def match(self, words: Tokens, videos: Tokens, *, by_size: bool = False) -> Tensor:
        """Words from `text.read` and tokens of videos -> (T, 2): text t fits its video, not or yes.

        There is one video for all texts, one for each, or one for as many neighbouring texts each.
        by_size: words see a token as often as the patches it holds, which the original has not.
        """
        return self.fits(words, seen(videos), log_sizes(videos) if by_size else None)

    def fits(self, words: Tokens, watched: Tensor, bias: Tensor | None = None) -> Tensor:
        """`match` with the tokens (B, W, D) of videos from `vision.seen`."""
        return self.match_head(self.text.fuse(words, watched, bias).x_CND[:, 0])


def mean_cosines(videos_VPD: Tensor, texts_TD: Tensor) -> Tensor:
    """(V, P, D) projected parts and (T, D) -> (V, T) fp32: cosines, the mean over the parts."""
    parts = normalize(videos_VPD.float(), dim=-1)
    with torch.autocast(parts.device.type, enabled=False):  # half a product cannot rank
        return torch.einsum("vpd,td->vpt", parts, normalize(texts_TD.float(), dim=-1)).mean(dim=1)
