"""The parts of DGL: spaces that prompts come from, and blocks in which videos see frames."""

from __future__ import annotations

from collections import OrderedDict

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tempme.backbones.attention import attention, size_bias
from tempme.backbones.layers import Around, Block, Cues, Foldable
from tempme.backbones.mlp import QuickGELU
from tempme.backbones.sizes import Sizes
from tempme.tokens import Tokens, spread
from tempme.tuning.layers import Borrowed, Prompts

# Shape letters: L blocks, V videos, F frames, C clips, M local prompts, G global prompts, D width.

TEXT_PROMPTS = 8  # of the table; the first half stands before the words


def uniform(config: Sizes, *shape: int) -> Tensor:
    """The original's start: as wide as that of a patch embedding."""
    bound = (6 / (3 * config.patch**2 + config.width)) ** 0.5
    return torch.empty(*shape, config.width).uniform_(-bound, bound)


class Space(nn.Module):
    """Where the prompts of both towers come from."""

    def visual(self, block: int) -> Tensor:
        """(M, D) for all frames, or (F, M, D)."""
        raise NotImplementedError

    def textual(self, block: int) -> Tensor:
        """(prompts, text width)."""
        raise NotImplementedError


class LinearSpace(Space):
    """One table for frames, and its linear image for words."""

    def __init__(self, config: Sizes, prompts: int) -> None:
        super().__init__()
        self.value = nn.Parameter(uniform(config, config.layers, prompts))
        self.prefix = nn.Linear(config.width, config.text_width)
        self.postfix = nn.Linear(config.width, config.text_width)  # no word ever sees it

    def visual(self, block: int) -> Tensor:
        """(M, D)."""
        return self.value[block]

    def textual(self, block: int) -> Tensor:
        """(M, text width)."""
        return self.prefix(self.value[block])


class TransformerSpace(Space):
    """A table of text prompts and of every frame's prompts, whose rows meet in one block."""

    def __init__(self, config: Sizes, prompts: int, frames: int) -> None:
        super().__init__()
        d, self.frames = config.width, frames
        self.table = nn.Parameter(torch.randn(config.layers, TEXT_PROMPTS + frames * prompts, d))
        self.block = Block(d, config.heads, "quick_gelu")
        self.words = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(d, 2 * d),
                gelu=QuickGELU(),
                c_proj=nn.Linear(2 * d, config.text_width),
            )
        )

    def _met(self, block: int) -> Tensor:
        return self.block(Tokens(self.table[block, None], None, clips_per_video=1)).x_CND[0]

    def visual(self, block: int) -> Tensor:
        """(F, M, D)."""
        return self._met(block)[TEXT_PROMPTS:].unflatten(0, (self.frames, -1))

    def textual(self, block: int) -> Tensor:
        """(prompts before the words, text width); those behind the end of text are not made."""
        return self.words(self._met(block)[: TEXT_PROMPTS // 2])


class FromSpace(Foldable):
    """The prompts of one block; constants, once nothing learns any more."""

    def __init__(self, space: Space, block: int, *, textual: bool) -> None:
        super().__init__()
        self.space, self.block, self.textual = Borrowed(space), block, textual

    def forward(self) -> Tensor:
        """(M, D) or (F, M, D)."""
        space = self.space.module
        return space.textual(self.block) if self.textual else space.visual(self.block)

    @torch.no_grad()
    def fold(self) -> nn.Module:
        """The same prompts, without the space."""
        return Prompts(self())


class GlobalLocal(Around[Block]):
    """A block in which frames see prompts and their video, and the video sees all frames."""

    def __init__(self, layer: Block, local: nn.Module, born: Prompts | None) -> None:
        super().__init__(layer, sees_one_frame=False)
        self.local = local
        self.born = born  # the video's tokens before the first tuned block

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """All tokens after attention; cues of the frames' tokens."""
        video = self._video(tokens)
        seen = _Seen(self.layer, tokens, self.local(), video)
        return tokens.plus(seen.by_frames()).with_video(video + seen.by_videos()), seen.cues

    def feed(self, tokens: Tokens) -> Tokens:
        """All tokens after the MLP."""
        video = tokens.beside.video_VGD
        assert video is not None
        return self.layer.feed(tokens).with_video(self._fed(video))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """The tokens of the videos: nobody asks for the frames' any more."""
        video = self._video(tokens)
        seen = _Seen(self.layer, tokens, self.local(), video, num_queries=0)
        return tokens.with_video(self._fed(video + seen.by_videos())).protected()

    def _video(self, tokens: Tokens) -> Tensor:
        if tokens.beside.video_VGD is not None:
            return tokens.beside.video_VGD
        assert self.born is not None
        return self.born().expand(tokens.num_videos, -1, -1)

    def _fed(self, video: Tensor) -> Tensor:
        return video + self.layer.mlp(self.layer.ln_2(video))


class _Seen:
    """Queries, keys and values of one block, each computed once.

    num_queries: how many tokens of a frame ask; None: all of them.
    """

    def __init__(
        self,
        block: Block,
        tokens: Tokens,
        local: Tensor,
        video: Tensor,
        num_queries: int | None = None,
    ) -> None:
        self.attn, self.tokens = block.attn, tokens
        clips = len(tokens.x_CND)
        self.q, k, v = self.attn.project(block.ln_1(tokens.x_CND), num_queries)
        self.asking, *self.of_video = self.attn.project(block.ln_1(video))
        _, *beside = self.attn.project(block.ln_1(_by_clip(local, tokens.clips_per_video)), 0)
        self.near = [
            torch.cat([_tiled(b, clips), own], dim=2) for b, own in zip(beside, (k, v), strict=True)
        ]
        self.more = beside[0].shape[2]
        size = tokens.size_CN1
        self.cues = Cues(self.q, k, None if size is None else size_bias(size, k.dtype))

    def by_frames(self) -> Tensor:
        """(C, N, D): answers to the frames' tokens."""
        clips = len(self.q)
        k, v = (
            torch.cat([spread(video, clips), near], dim=2)
            for video, near in zip(self.of_video, self.near, strict=True)
        )
        bias = self.cues.bias
        ahead = self.more + self.asking.shape[2]
        bias = None if bias is None else F.pad(bias, (ahead, 0))
        return self.attn.gather(attention(self.q, k, v, bias, causal=False))

    def by_videos(self) -> Tensor:
        """(V, G, D): answers to the videos' tokens."""
        k, v = (
            torch.cat([video, self._whole(near)], dim=2)
            for video, near in zip(self.of_video, self.near, strict=True)
        )
        bias = self.cues.bias
        if bias is not None:
            bias = self._whole(F.pad(bias, (self.more, 0))[..., None])[..., 0]
            bias = F.pad(bias, (self.asking.shape[2], 0))
        return self.attn.gather(attention(self.asking, k, v, bias, causal=False))

    def _whole(self, by_clip: Tensor) -> Tensor:
        """(C, H, N, d) -> (V, H, clips N, d)."""
        of_video = by_clip.unflatten(0, (-1, self.tokens.clips_per_video))
        return of_video.movedim(1, -3).flatten(-3, -2)


def _by_clip(local: Tensor, clips: int) -> Tensor:
    """(M, D) or (F, M, D) -> (1 or clips, prompts of a clip, D)."""
    if local.ndim == 2:
        return local[None]
    return local.unflatten(0, (clips, -1)).flatten(1, 2)


def _tiled(of_clip: Tensor, clips: int) -> Tensor:
    """What every video has, (1 or clips of a video, ...) -> (C, ...)."""
    return of_clip.repeat(clips // len(of_clip), *(1 for _ in of_clip.shape[1:]))
