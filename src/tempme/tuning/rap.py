"""RAP-style: our reconstruction, never "RAP reproduced".

After Cao et al., ACL Findings 2024, arXiv 2405.19465.

Neither code nor the method's section could be had; shapes and rank are guesses. Scales and shifts
of every frame, each a product of rank `rank` along time, follow attention and MLP of every image
block; scales and shifts of every block follow those of words. In the last `warped` image blocks,
before attention, the `patches` patches of a frame nearest to its class token look elsewhere: a
linear map of each gives an offset in x, y and time, the tokens are read there (linearly between
neighbours) and pass a bottleneck of `width`. What the original selects by text is selected by the
class token, so that features never depend on a query. The defaults learn 1,072,914 numbers at
ViT-B/32 and 12 frames; the paper says 1.06 M. All starts at CLIP, which is frozen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import Around, Cues, Layer
from tempme.backbones.sizes import Sizes
from tempme.backbones.umt.config import UmtConfig
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tokens import Tokens
from tempme.tuning.layers import layers_of, wrapped
from tempme.tuning.method import DeepTuning

# Shape letters: V videos, F frames, C = V F, N tokens, K chosen patches, D width.


class LowRank(nn.Module):
    """A vector for every frame, of low rank along time; zero at the start."""

    def __init__(self, frames: int, rank: int, width: int) -> None:
        super().__init__()
        self.times = nn.Parameter(torch.randn(frames, rank) * rank**-0.5)
        self.values = nn.Parameter(torch.zeros(rank, width))

    def forward(self) -> Tensor:
        """(F, D)."""
        return self.times @ self.values


class Modulation(nn.Module):
    """(1 + scale) x + shift, for each frame its own; or for all texts the same."""

    def __init__(self, frames: int | None, rank: int, width: int) -> None:
        super().__init__()
        self.scale, self.shift = (_vector(frames, rank, width) for _ in range(2))

    def forward(self, tokens: Tokens) -> Tokens:
        """The same tokens, modulated."""
        scale, shift = (part().unsqueeze(1) for part in (self.scale, self.shift))
        times = len(tokens.x_CND) // len(scale)
        x = tokens.x_CND * (1 + scale.repeat(times, 1, 1)) + shift.repeat(times, 1, 1)
        return replace(tokens, x_CND=x)


class Constant(nn.Module):
    """One vector for all; zero at the start."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.zeros(1, width))

    def forward(self) -> Tensor:
        """(1, D)."""
        return self.value


class Warp(nn.Module):
    """Patches that look elsewhere in the video."""

    def __init__(self, width: int, middle: int, patches: int, grid: int) -> None:
        super().__init__()
        self.offset = nn.Linear(width, 3)
        self.down = nn.Linear(width, middle, bias=False)
        self.up = nn.Linear(middle, width, bias=False)
        self.patches, self.grid = patches, grid
        nn.init.zeros_(self.offset.weight)
        nn.init.zeros_(self.offset.bias)
        nn.init.zeros_(self.up.weight)

    def forward(self, tokens: Tokens) -> Tokens:
        """The same tokens; the chosen ones with what they saw elsewhere."""
        x = tokens.x_CND
        likeness = (F.normalize(x[:, 1:], dim=-1) * F.normalize(x[:, :1], dim=-1)).sum(dim=-1)
        chosen = likeness.detach().topk(self.patches, dim=1).indices
        place = 1 + chosen[..., None].expand(-1, -1, x.shape[2])
        seen = self.up(self.down(self._read(tokens, chosen, self.offset(x.gather(1, place)))))
        return replace(tokens, x_CND=x.scatter_add(1, place, seen.to(x.dtype)))

    def _read(self, tokens: Tokens, chosen_CK: Tensor, offset_CK3: Tensor) -> Tensor:
        """(C, K, D): the patches at the chosen places, moved by the offsets."""
        frames, grid = tokens.clips_per_video, self.grid
        volume = tokens.x_CND[:, 1:].unflatten(0, (-1, frames)).unflatten(2, (grid, grid))
        clip = torch.arange(len(chosen_CK), device=chosen_CK.device)[:, None] % frames
        own = torch.stack([chosen_CK % grid, chosen_CK // grid, clip.expand_as(chosen_CK)], dim=-1)
        last = own.new_tensor([max(grid - 1, 1), max(grid - 1, 1), max(frames - 1, 1)])
        where = (own + offset_CK3.float()) / last * 2 - 1
        where = where.unflatten(0, (-1, frames)).flatten(1, 2)[:, :, None, None]
        read = F.grid_sample(
            volume.permute(0, 4, 1, 2, 3).float(), where, align_corners=True, padding_mode="border"
        )
        return read[..., 0, 0].mT.unflatten(1, (frames, -1)).flatten(0, 1).to(tokens.x_CND.dtype)


class Modulated(Around[Layer]):
    """A layer with something before it and behind each of its halves."""

    def __init__(
        self, layer: Layer, halves: Sequence[nn.Module], *, before: nn.Module, alone: bool
    ) -> None:
        super().__init__(layer, sees_one_frame=alone)
        self.before = before
        self.attended, self.fed = halves

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention of the layer inside, with what comes before and behind."""
        tokens, cues = self.layer.attend(self.before(tokens))
        return self.attended(tokens), cues

    def feed(self, tokens: Tokens) -> Tokens:
        """The MLP of the layer inside, and what follows it."""
        return self.fed(self.layer.feed(tokens))


@dataclass(frozen=True)
class RAP(DeepTuning):
    """Low-rank modulation in time, and patches that look elsewhere: a reconstruction.

    With `warped` 0 it meets every compression that keeps frames.

    rank: of scales and shifts along time.
    warped: how many of the last image blocks let patches look elsewhere.
    width: numbers in the bottleneck of what they find.
    patches: how many patches of a frame look around.
    """

    rank: int = 4
    warped: int = 6
    width: int = 96
    patches: int = 8

    def __post_init__(self) -> None:
        for name in ("rank", "width", "patches"):
            if getattr(self, name) < 1:
                raise BadSetting(f"rap.{name} is {getattr(self, name)}; it must be 1 or more")
        if self.warped < 0:
            raise BadSetting(f"rap.warped is {self.warped}; it must be 0 or more")

    @property
    def of_class_token(self) -> str:
        """The patches that look elsewhere are those nearest to the class token."""
        return "the class token, which says what patches look elsewhere" if self.warped else ""

    def plan(self, plan: tuple[Step, ...]) -> tuple[Step, ...]:
        """Plans that keep every frame, and every patch in its place where patches look around."""
        plan = super().plan(plan)
        if any(step.join > 1 or step.merged_clips for step in plan):
            raise BadSetting(
                "rap scales and shifts every frame by numbers of its own, but this compression "
                "joins or merges frames: choose one that keeps them (tome), or keep"
            )
        start = len(plan) - self.warped
        if any(step.attended < plan[0].attended for step in plan[max(start, 0) :]):
            raise BadSetting(
                f"rap reads patches by their place in the frame from block {max(start, 0)} on, but "
                f"this compression takes some away before: use keep, or set rap.warped to 0"
            )
        return plan

    def serves(self, plan: tuple[Step, ...]) -> int | None:
        """Modulated layers serve all tokens."""
        protected = super().serves(plan)
        if protected is None or self.vision_from == len(plan):
            return protected
        return plan[-1].attended

    def check(self, *, frames: int, words: int, config: Sizes) -> None:
        """As many patches as are chosen have to be there."""
        super().check(frames=frames, words=words, config=config)
        if isinstance(config, UmtConfig) and config.joint:
            raise BadSetting(
                "rap scales and shifts every frame by numbers of its own, but in this backbone all "
                "frames are one clip: choose one that keeps them apart (umt4clip), or another "
                "tuning (lora)"
            )
        if self.patches > config.grid**2:
            raise BadSetting(f"rap.patches is {self.patches}; a frame has {config.grid**2}")
        start = max(config.layers - self.warped, 0)
        if start < self.vision_from:
            raise BadSetting(
                f"rap.warped is {self.warped}: patches look elsewhere from block {start} on, but "
                f"blocks before rap.vision_from, {self.vision_from}, stay those of CLIP: set "
                f"rap.warped to {max(config.layers - self.vision_from, 0)} or less, or "
                f"rap.vision_from to {start} or less"
            )

    def fitted(self, config: Sizes) -> RAP:
        """Small frames have few patches."""
        return replace(self, patches=min(self.patches, config.grid**2))

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Put modulation behind both halves of every layer; nothing of CLIP learns."""
        backbone.requires_grad_(False)
        config = backbone.config

        def halves(count: int | None, width: int) -> list[nn.Module]:
            return [Modulation(count, self.rank, width) for _ in range(2)]

        def image(i: int, layer: Layer) -> Layer:
            before: nn.Module = nn.Identity()
            if i >= config.layers - self.warped:
                before = Warp(config.width, self.width, self.patches, config.grid)
            return Modulated(layer, halves(frames, config.width), before=before, alone=False)

        def text(_: int, layer: Layer) -> Layer:
            own = halves(None, config.text_width)
            return Modulated(layer, own, before=nn.Identity(), alone=True)

        backbone.vision.layers = wrapped(layers_of(backbone.vision), image, first=self.vision_from)
        backbone.text.layers = wrapped(layers_of(backbone.text), text)
        return backbone

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """The warped patches; modulation has no products beside its small ones."""
        frames, d = plan[0].clips, config.width
        modulation = len(plan[self.vision_from :]) * 4 * frames * self.rank * d
        warp = self.warped * frames * self.patches * (3 * d + 2 * d * self.width)
        return Extra(modulation + warp, paper=modulation + warp)


def _vector(frames: int | None, rank: int, width: int) -> nn.Module:
    return Constant(width) if frames is None else LowRank(frames, rank, width)
