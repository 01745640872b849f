"""DGL: prompts of frames and words from one space, tokens of a video.

Yang et al., AAAI 2024, arXiv 2401.10588 (sections "Local Prompt Generation" and "Global-Local Video
Attention").

Every frame sees `local_prompts` prompts, new in every block, and the `global_prompts` tokens of
its video; these see all tokens of all frames, live through the blocks, and the first of them is
the feature of the video (pooling "first"). Words see prompts from the same space. All of CLIP is
frozen. `DGL` (the paper's DGL-Linear) maps the frames' prompts to words by one linear map;
`DGLTransformer` makes the prompts of every frame and of words by one transformer block over a
table. Frozen prompts fold into constants. The original's map to prompts behind the end of a text
is kept for its count of parameters (393,728 of 827,392 at ViT-B/32): causal attention hides them.
Original recipe: DGL-Transformer on MSR-VTT with AdamW, learning rate 2e-3, betas 0.9 and 0.98,
decay 0.2, 5 epochs of 512 pairs, 12 frames, 32 words. Code: knightyxp/DGL, 9139fd1.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tempme.clip.config import ClipConfig
from tempme.clip.layers import Block, Cues, Foldable, Layer, QuickGELU, attention, size_bias
from tempme.clip.model import Clip
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tokens import Tokens, spread
from tempme.tuning.layers import Borrowed, Prompted, Prompts, blocks_of, layers_of, wrapped
from tempme.tuning.method import DeepTuning

# Shape letters: L blocks, V videos, F frames, C clips, M local prompts, G global prompts, D width.

TEXT_PROMPTS = 8  # of the table; the first half stands before the words


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

    def __init__(self, config: ClipConfig, prompts: int) -> None:
        super().__init__()
        self.value = nn.Parameter(_uniform(config, config.layers, prompts))
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

    def __init__(self, config: ClipConfig, prompts: int, frames: int) -> None:
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


class GlobalLocal(Layer):
    """A block in which frames see prompts and their video, and the video sees all frames."""

    sees_one_frame = False

    def __init__(self, layer: Block, local: nn.Module, born: Prompts | None) -> None:
        super().__init__()
        self.layer, self.local = layer, local
        self.born = born  # the video's tokens before the first tuned block

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """All tokens after attention; cues of the frames' tokens."""
        video = self._video(tokens)
        seen = _Seen(self.layer, tokens, self.local(), video)
        x = tokens.x_CND + seen.by_frames()
        return replace(tokens, x_CND=x, video_VGD=video + seen.by_videos()), seen.cues

    def feed(self, tokens: Tokens) -> Tokens:
        """All tokens after the MLP."""
        assert tokens.video_VGD is not None
        return replace(self.layer.feed(tokens), video_VGD=self._fed(tokens.video_VGD))

    def finish(self, tokens: Tokens) -> Tokens:
        """The tokens of the videos: nobody asks for the frames' any more."""
        video = self._video(tokens)
        seen = _Seen(self.layer, tokens, self.local(), video)
        return replace(tokens, video_VGD=self._fed(video + seen.by_videos())).protected()

    def _video(self, tokens: Tokens) -> Tensor:
        if tokens.video_VGD is not None:
            return tokens.video_VGD
        assert self.born is not None
        return self.born().expand(tokens.num_videos, -1, -1)

    def _fed(self, video: Tensor) -> Tensor:
        return video + self.layer.mlp(self.layer.ln_2(video))


class _Seen:
    """Queries, keys and values of one block, each computed once."""

    def __init__(self, block: Block, tokens: Tokens, local: Tensor, video: Tensor) -> None:
        self.attn, self.tokens = block.attn, tokens
        clips = len(tokens.x_CND)
        self.q, k, v = self.attn.project(block.ln_1(tokens.x_CND))
        self.asking, *self.of_video = self.attn.project(block.ln_1(video))
        _, *beside = self.attn.project(block.ln_1(_by_clip(local, tokens.clips_per_video)))
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


@dataclass(frozen=True)
class DGL(DeepTuning):
    """DGL-Linear: the prompts of words are one linear map of those of frames.

    Prompts depend on what learnt alone and are made once a model. All frames are seen by batched
    products; the original makes the keys of frames one after the other.

    local_prompts: prompts that every frame sees in a block, and as many words.
    global_prompts: tokens of the video.
    """

    local_prompts: int = 4
    global_prompts: int = 4

    dead: ClassVar[tuple[str, ...]] = ("space.postfix.weight", "space.postfix.bias")

    def __post_init__(self) -> None:
        for name in ("local_prompts", "global_prompts"):
            if getattr(self, name) < 1:
                raise BadSetting(f"dgl.{name} is {getattr(self, name)}; it must be 1 or more")

    @property
    def makes_prompts(self) -> Literal["once"]:
        """They are made of what learns alone, so that they fold."""
        return "once"

    def check(self, *, frames: int, words: int, config: ClipConfig) -> None:
        """Both towers take prompts of the same blocks."""
        super().check(frames=frames, words=words, config=config)
        if config.text_layers > config.layers:
            raise BadSetting(
                f"dgl gives text blocks the prompts of image blocks, but the backbone has "
                f"{config.text_layers} for texts and {config.layers} for images: choose a backbone "
                f"with at most as many for texts"
            )
        if self.vision_from == config.layers:
            raise BadSetting(
                f"dgl.vision_from is {self.vision_from}: no image block is left in which the "
                f"tokens of a video, which are its feature, see the frames: set it to "
                f"{config.layers - 1} or less"
            )

    def tune(self, clip: Clip, *, frames: int, words: int) -> Clip:  # noqa: ARG002
        """Put every block among prompts; nothing of CLIP learns."""
        clip.requires_grad_(False)
        space = self.space(clip.config, frames)
        clip.add_module("space", space)
        video, first = Prompts(_uniform(clip.config, self.global_prompts)), self.vision_from

        def tuned(i: int, layer: Block) -> Layer:
            local = FromSpace(space, i, textual=False)
            return GlobalLocal(layer, local, video if i == first else None)

        clip.vision.layers = wrapped(blocks_of(clip.vision), tuned, first=first)
        clip.text.layers = wrapped(
            layers_of(clip.text),
            lambda i, layer: Prompted(layer, FromSpace(space, i, textual=True)),
        )
        return clip

    def space(self, config: ClipConfig, frames: int) -> Space:  # noqa: ARG002
        """Where the prompts come from."""
        return LinearSpace(config, self.local_prompts)

    def parts(self, frames: int) -> int:  # noqa: ARG002
        """How often local prompts are projected for a video."""
        return 1

    def making(self, config: ClipConfig, frames: int) -> int:  # noqa: ARG002
        """Multiply-adds of making all prompts, once a model."""
        return config.text_layers * self.local_prompts * config.width * config.text_width

    def extra(self, plan: tuple[Step, ...], config: ClipConfig) -> Extra:
        """Prompts beside the frames, and the tokens of the video through every block."""
        frames = plan[0].clips * plan[0].join
        d, m, g = config.width, self.local_prompts, self.global_prompts
        products = paper = 0
        for step in plan[self.vision_from :]:
            all_tokens = g + step.clips * (step.attended + m)
            own = 10 * g * d * d + 2 * g * all_tokens * d
            products += own + 2 * g * d * d + 2 * step.clips * step.attended * (g + m) * d
            products += 3 * self.parts(frames) * m * d * d
            # The original projects the video's keys for every frame, and all keys for the video.
            paper += own + 2 * all_tokens * d * d
            paper += step.clips * (2 * g * d * d + 2 * (step.attended + m) * g * d)
        return Extra(
            products,
            paper,
            paper_prompts=m,
            prompts_from=self.vision_from,
            making=self.making(config, frames),
        )


@dataclass(frozen=True)
class DGLTransformer(DGL):
    """DGL-Transformer: every frame has prompts of its own; one block makes them and the words'."""

    of_every_frame: ClassVar[str] = "prompts of its own"
    dead: ClassVar[tuple[str, ...]] = ()

    def space(self, config: ClipConfig, frames: int) -> Space:
        """A table and a block."""
        return TransformerSpace(config, self.local_prompts, frames)

    def parts(self, frames: int) -> int:
        """Once for every frame."""
        return frames

    def making(self, config: ClipConfig, frames: int) -> int:
        """The block over all rows, and the MLP over those of words, for every block."""
        d, rows = config.width, TEXT_PROMPTS + frames * self.local_prompts
        block = 12 * rows * d * d + 2 * rows * rows * d
        words = TEXT_PROMPTS // 2 * 2 * d * (d + config.text_width)
        made = config.layers - self.vision_from + min(self.vision_from, config.text_layers)
        return made * block + config.text_layers * words


def _uniform(config: ClipConfig, *shape: int) -> Tensor:
    """The original's start: as wide as that of a patch embedding."""
    bound = (6 / (3 * config.patch**2 + config.width)) ** 0.5
    return torch.empty(*shape, config.width).uniform_(-bound, bound)
