"""MV-Adapter: bottlenecks behind every MLP, in which frames or words meet.

Jin et al., CVPR 2024, arXiv 2301.07868 (sections 3.2 and 3.3; its equation 2 leaves out the map of
the video's token and the 1 that its code adds).

Behind the MLP of every block of both towers: y = x + u + `scale` A(u), with u the MLP's output.
Frames: class tokens and pooled patches of all frames and one learnt token pass a small transformer
block, which says how much of each number of a frame's class token goes up again. Words: a small
causal block. In the last `tied` blocks a factor that both towers share rescales W_down ("in": its
columns, as in the paper; "out": its rows, as in the released MSR-VTT configuration). All biases of
CLIP learn too. W_up starts at zero, so training starts at CLIP. Code: zhangbw17/MV-Adapter,
08a61f3. Original recipe: BertAdam, learning rate 5e-6 (1e-7 for CLIP's biases), decay 0.2, 5 epochs
of 128 pairs, weights in half precision, ViT-B/16; 32 frames and 64 words for long videos. After a
join, every frame of a clip has the clip's pooled patches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import Around, Block, Foldable, Layer
from tempme.backbones.mlp import QuickGELU
from tempme.backbones.sizes import Sizes
from tempme.backbones.text import text_of
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tokens import Tokens
from tempme.tuning.layers import Borrowed, blocks_of, wrapped
from tempme.tuning.method import DeepTuning

# Shape letters: V videos, F frames, C clips, N tokens, T texts, W words, D width, M bottleneck.

HEADS = 2  # of the blocks in the bottlenecks
HIDDEN = 16  # numbers in the calibration


class Factor(nn.Module):
    """What the two towers share in one block."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(size))


class TiedDown(Foldable):
    """A linear map whose columns ("in") or rows ("out") a shared factor rescales."""

    def __init__(self, base: nn.Linear, factor: Factor, *, columns: bool) -> None:
        super().__init__()
        self.base, self.factor, self.columns = base, Borrowed(factor), columns
        size = base.in_features if columns else base.out_features
        self.rescale = nn.Linear(len(factor.value), size)

    def weight(self) -> Tensor:
        """W_down, rescaled; its bias never is."""
        scale = self.rescale(self.factor.module.value)
        return self.base.weight * (scale if self.columns else scale[:, None])

    def forward(self, u: Tensor) -> Tensor:
        """(..., D) -> (..., M)."""
        return F.linear(u, self.weight(), self.base.bias)

    def inner(self) -> nn.Module:
        """The map without its factor."""
        return self.base

    @torch.no_grad()
    def fold(self) -> nn.Linear:
        """The same function as one linear layer."""
        self.base.weight.copy_(self.weight())
        return self.base


class Calibration(nn.Module):
    """How much of every number of a frame's class token goes up again; 1 at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.g = nn.Linear(width, width)
        self.a = nn.Linear(2 * width, HIDDEN)
        self.b = nn.Linear(HIDDEN, width, bias=False)
        nn.init.zeros_(self.b.weight)

    def forward(self, own_VFM: Tensor, whole_V1M: Tensor, mask_VF: Tensor | None) -> Tensor:
        """What frames are and what the video is -> (V, F, M)."""
        seen = torch.cat([own_VFM, self.g(whole_V1M).expand_as(own_VFM)], dim=-1)
        if mask_VF is not None:
            seen = seen * mask_VF[..., None].to(seen.dtype)
        return 1 + self.b(self.a(seen).relu())


class VideoAdapter(nn.Module):
    """The bottleneck of the image tower."""

    def __init__(self, width: int, middle: int, frames: int, down: nn.Module) -> None:
        super().__init__()
        self.down, self.up = down, _closed(middle, width)
        self.whole = nn.Parameter(middle**-0.5 * torch.randn(middle))
        self.position = nn.Parameter(0.01 * torch.randn(2 * frames + 1, middle))
        self.norm = nn.LayerNorm(middle)
        self.block = _block(middle, width)
        self.calibration = Calibration(middle)
        self.act = QuickGELU()

    def forward(self, u_CND: Tensor, tokens: Tokens) -> Tensor:
        """(C, N, D) -> (C, N, D)."""
        z, led = self.act(self.down(u_CND)), tokens.num_protected
        weight = tokens.sizes[:, led:].to(z.dtype)
        pooled = (z[:, led:] * weight).sum(dim=1, keepdim=True) / weight.sum(dim=1, keepdim=True)
        classes, patches = (
            part.expand(-1, led, -1).unflatten(0, (tokens.num_videos, -1)).flatten(1, 2)
            for part in (z[:, :led], pooled)
        )
        mask = tokens.beside.mask_VF
        whole, classes, patches = self.met(classes, patches, mask)
        alpha = self.calibration(classes + patches, whole, mask)
        led_out = (alpha * classes).view(len(z), led, -1)
        return self.up(torch.cat([led_out, z[:, led:]], dim=1))

    def met(
        self, classes_VFM: Tensor, patches_VFM: Tensor, mask_VF: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """The video's token, class tokens and pooled patches, after they have seen each other."""
        videos, frames, _ = classes_VFM.shape
        whole = self.whole.expand(videos, 1, -1)
        x = torch.cat([whole, classes_VFM, patches_VFM], dim=1) + self.position
        visible = None
        if mask_VF is not None:  # frames that do not count answer as often as 0 patches would
            mask = mask_VF.float()
            visible = torch.cat([torch.ones_like(mask[:, :1]), mask, mask], dim=1)[..., None]
        seen = self.block(Tokens(self.norm(x), visible, clips_per_video=1)).x_CND
        whole, classes, patches = self.act(seen).split([1, frames, frames], dim=1)
        return whole, classes, patches


class WordAdapter(nn.Module):
    """The bottleneck of the text tower."""

    def __init__(self, width: int, middle: int, words: int, down: nn.Module) -> None:
        super().__init__()
        self.down, self.up = down, _closed(middle, width)
        self.position = nn.Parameter(0.01 * torch.randn(words, middle))
        self.norm = nn.LayerNorm(middle)
        self.block = _block(middle, width)
        self.act = QuickGELU()

    def forward(self, u_TWD: Tensor, tokens: Tokens) -> Tensor:  # noqa: ARG002
        """(T, W, D) -> (T, W, D)."""
        words = u_TWD.shape[1]
        if words > len(self.position):
            raise BadSetting(
                f"texts of {words} words, but this model learnt places of {len(self.position)}: "
                f"cut them (Tokenizer does), or train with more max_words"
            )
        x = self.norm(self.down(u_TWD) + self.position[:words])
        return self.up(self.act(self.block(text_of(x)).x_CND))


class Behind(Around[Block]):
    """A block with an adapter behind its MLP."""

    def __init__(self, layer: Block, adapter: nn.Module, scale: float, *, of_video: bool) -> None:
        super().__init__(layer, sees_one_frame=not of_video)
        self.adapter, self.scale = adapter, scale

    def feed(self, tokens: Tokens) -> Tokens:
        """The MLP, and what the adapter adds to it."""
        u = self.layer.mlp(self.layer.ln_2(tokens.x_CND))
        return tokens.plus(u + self.scale * self.adapter(u, tokens))


@dataclass(frozen=True)
class MVAdapter(DeepTuning):
    """Bottlenecks behind every MLP; the last blocks of both towers share factors.

    width: numbers in a bottleneck.
    scale: how much its output counts.
    tied: how many of the last blocks share a factor between the towers.
    factor: numbers in such a factor.
    tie: whether the factor rescales what comes "in" or what goes "out" of W_down.
    """

    width: int = 64
    scale: float = 0.1
    tied: int = 2
    factor: int = 32
    tie: Literal["in", "out"] = "in"

    of_every_frame: ClassVar[str] = "a learnt place and a scale of its own"
    of_clip: ClassVar[str] = "class tokens, and words that end in one place"

    @property
    def of_class_token(self) -> str:
        """Class tokens of all frames meet in the bottlenecks."""
        return "class tokens, in which frames meet"

    def __post_init__(self) -> None:
        if self.width < HEADS or self.width % HEADS:
            raise BadSetting(f"mv-adapter.width is {self.width}; it is a multiple of {HEADS}")
        if self.tied < 0 or self.factor < 1:
            raise BadSetting(f"{self}: tied is 0 or more, factor 1 or more")
        if self.tie not in ("in", "out"):
            raise BadSetting(f"mv-adapter.tie is {self.tie!r}; possible: in, out")

    def fitted(self, config: Sizes) -> MVAdapter:
        """At most as many tied blocks as both towers have."""
        return replace(self, tied=min(self.tied, config.layers, config.text_layers))

    def check(self, *, frames: int, words: int, config: Sizes) -> None:
        """Tied blocks exist in both towers."""
        super().check(frames=frames, words=words, config=config)
        most = min(config.layers, config.text_layers)
        if self.tied > most:
            raise BadSetting(f"mv-adapter.tied is {self.tied}, but both towers have only {most}")
        if config.layers - self.tied < self.vision_from:
            raise BadSetting(
                f"mv-adapter.tied is {self.tied}, but only "
                f"{config.layers - self.vision_from} image blocks from mv-adapter.vision_from, "
                f"{self.vision_from}, on have an adapter to tie: set tied to so many or less, or "
                f"vision_from to {config.layers - self.tied} or less"
            )

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:
        """Put adapters behind all MLPs; beside them CLIP's biases learn."""
        clip = self.clip(backbone).requires_grad_(False)
        for name, parameter in clip.named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
        if self.vision_from:
            for module in (clip.vision.ln_pre, *clip.vision.layers[: self.vision_from]):
                module.requires_grad_(False)
        factors = [Factor(self.factor) for _ in range(self.tied)]
        clip.add_module("factors", nn.ModuleList(factors))
        config = clip.config

        def image(i: int, layer: Block) -> Layer:
            down = self._down(config.width, factors, config.layers - 1 - i)
            adapter = VideoAdapter(config.width, self.width, frames, down)
            return Behind(layer, adapter, self.scale, of_video=True)

        def text(i: int, layer: Block) -> Layer:
            down = self._down(config.text_width, factors, config.text_layers - 1 - i)
            adapter = WordAdapter(config.text_width, self.width, words, down)
            return Behind(layer, adapter, self.scale, of_video=False)

        clip.vision.layers = wrapped(blocks_of(clip.vision), image, first=self.vision_from)
        clip.text.layers = wrapped(blocks_of(clip.text), text)
        return clip

    def serves(self, plan: tuple[Step, ...]) -> int | None:
        """The last adapter pools the patches behind their MLP: all of them are served."""
        protected = super().serves(plan)
        if protected is None or self.vision_from == len(plan):
            return protected
        return plan[-1].attended

    def _down(self, width: int, factors: list[Factor], from_end: int) -> nn.Module:
        base = nn.Linear(width, self.width)
        nn.init.kaiming_uniform_(base.weight, a=math.sqrt(5))
        nn.init.zeros_(base.bias)
        if from_end >= len(factors):
            return base
        return TiedDown(base, factors[len(factors) - 1 - from_end], columns=self.tie == "in")

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """Down and up for every token, and the block over the frames."""
        frames, m = plan[0].clips * plan[0].join, self.width
        meeting = 2 * frames + 1
        inside = 12 * meeting * m * m + 2 * meeting**2 * m + m * m + frames * 3 * m * HIDDEN
        tuned, each = plan[self.vision_from :], 2 * config.width * m
        return Extra(
            products=sum(step.clips_out * step.through_mlp * each + inside for step in tuned),
            paper=sum(step.clips_out * step.fed * each + inside for step in tuned),
        )


def _closed(middle: int, width: int) -> nn.Linear:
    up = nn.Linear(middle, width)
    nn.init.zeros_(up.weight)
    nn.init.zeros_(up.bias)
    return up


def _block(middle: int, width: int) -> Block:
    """A block as narrow as the bottleneck, that starts as narrow as a block of CLIP would."""
    block = Block(middle, HEADS, "quick_gelu")
    nn.init.normal_(block.attn.qkv.weight, std=width**-0.5)
    mlp = (part for part in block.mlp if isinstance(part, nn.Linear))
    for linear in (block.attn.out, *mlp):
        nn.init.normal_(linear.weight, std=(2 * width) ** -0.5)
    nn.init.zeros_(block.attn.qkv.bias)
    nn.init.zeros_(block.attn.out.bias)
    return block
