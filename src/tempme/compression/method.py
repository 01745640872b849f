"""What every compression answers; most answers have a default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from tempme.backbones.layers import Layer
from tempme.errors import BadSetting
from tempme.schedule import Step

LEAST_KEPT = 0.02  # of any share: however strong a rule is, something stays


def scaled_count(count: int, strength: float) -> int:
    """The whole number of `strength` times as much, never more."""
    return int(strength * count + 1e-9)


def share_kept(kept: float, strength: float) -> float:
    """The share that stays where `strength` times as much leaves as of `kept`."""
    return round(min(1.0, max(LEAST_KEPT, 1 - strength * (1 - kept))), 6)


@dataclass(frozen=True)
class Compression:
    """Settings that shorten the token sequence of a video, and what a system has to know of them.

    of_class_token: what it reads off the class token of a frame, if anything; then it meets no
        backbone without class tokens.
    of_frames: what it does with frames that stay apart, if anything; then it meets no backbone in
        which all frames are one clip from the start.
    """

    of_class_token: ClassVar[str] = ""
    of_frames: ClassVar[str] = ""

    @property
    def drops_patches(self) -> bool:
        """Whether patches are lost, rather than merged or fused."""
        return False

    def scaled(self, strength: float, *, counts: float | None = None) -> Compression:  # noqa: ARG002
        """The same rule with `strength` times as much that merges or leaves; 0: nothing does.

        What it never does at strength 1, it never does. counts: the strength of whole numbers,
        which cannot follow every share; None is the same. BadSetting where a rule has no such dial.
        """
        raise BadSetting(
            f"{type(self).__name__} has no budget: its settings do not grow or shrink together"
        )

    def witness(self) -> nn.Module | None:
        """What the backbone is to keep of neighbouring frames for it, if anything.

        (V, F, 3, H, W) frames, (V, F, P, D) patches before their positions -> (V, F, P) change.
        """
        return None

    def plan(self, *, tokens: int, frames: int, depth: int, protected: int = 1) -> tuple[Step, ...]:
        """What every block does to the token count, before any tensor exists.

        tokens: of a frame before the first block; the first `protected` of them, its class token
            if it has one, stay. BadSetting where this compression cannot meet such frames.
        """
        if not 0 <= protected <= tokens:
            raise BadSetting(
                f"{protected} protected tokens of a frame's {tokens}: some of them, or none"
            )
        if self.of_class_token and not protected:
            raise BadSetting(
                f"{type(self).__name__} needs {self.of_class_token}, but frames of this backbone "
                f"have no class token: choose a compression that works without (tempme, tome, sta, "
                f"testa), or keep"
            )
        return self.steps(tokens=tokens, frames=frames, depth=depth, protected=protected)

    def steps(self, *, tokens: int, frames: int, depth: int, protected: int) -> tuple[Step, ...]:
        """A Step per block, for frames that it can meet: what `plan` answers."""
        raise NotImplementedError

    def wrap(self, layer: Layer, step: Step, width: int) -> Layer:
        """The layer with its reduction around it."""
        raise NotImplementedError
