"""What every tuning answers; most answers have a default."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from tempme.backbones.backbone import Backbone
from tempme.backbones.clip import Clip
from tempme.backbones.config import ClipConfig
from tempme.backbones.sizes import Sizes
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step


@dataclass(frozen=True)
class Tuning:
    """Settings that make a backbone trainable, and what a system has to know about them.

    dead: endings of the names of parameters that the original trains although no gradient ever
        reaches them.
    text_rows: rows that prompts take of the text encoder's context.
    of_every_frame: what it has for every single frame of a video, if it has; then no compression
        may merge whole frames.
    of_clip: what it needs that only a CLIP has, if anything.
    """

    dead: ClassVar[tuple[str, ...]] = ()
    of_every_frame: ClassVar[str] = ""
    of_clip: ClassVar[str] = ""

    @property
    def makes_prompts(self) -> Literal["never", "once", "of every video"]:
        """When prompts are made from something else; "once" they are, they fold into constants."""
        return "never"

    @property
    def of_class_token(self) -> str:
        """What it reads off the class token of a frame, if anything; then every frame has one."""
        return ""

    @property
    def of_own_sequence(self) -> str:
        """What it has that only a frame with a sequence of its own can see, if anything."""
        return ""

    @property
    def text_rows(self) -> int:
        """Rows of the text encoder's context that are not left for words."""
        return 0

    def fitted(self, config: Sizes) -> Tuning:  # noqa: ARG002
        """The same settings, made smaller where a small backbone has no room for them."""
        return self

    def clip(self, backbone: Backbone) -> Clip:
        """The backbone, which `check_family` has seen to be a CLIP."""
        if not isinstance(backbone, Clip):
            raise BadSetting(self._only_clip())
        return backbone

    def check_family(self, config: Sizes) -> None:
        """Raise BadSetting where the backbone is none that has what this tuning needs."""
        if self.of_clip and not isinstance(config, ClipConfig):
            raise BadSetting(self._only_clip())

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:
        """The model with its learning parts in place; exactly they require gradients."""
        raise NotImplementedError

    def plan(self, plan: tuple[Step, ...]) -> tuple[Step, ...]:
        """The plan of a compression around this tuning; BadSetting where they cannot meet."""
        name = type(self).__name__
        if self.of_class_token and not plan[0].protected:
            raise BadSetting(
                f"{name} needs {self.of_class_token}, but frames of this backbone have no class "
                f"token: choose a tuning that works without (lora, full)"
            )
        if self.of_every_frame and any(step.merged_clips for step in plan):
            raise BadSetting(
                f"{name} has {self.of_every_frame} for every frame of a video, but this "
                f"compression merges whole frames, for which there is none: choose one that keeps "
                f"frames (tome, tempme), or another tuning (lora)"
            )
        if self.of_own_sequence and any(step.view for step in plan):
            raise BadSetting(
                f"{name} has {self.of_own_sequence}, but this compression puts the tokens of "
                f"several frames into one sequence from the first block on: choose one that leaves "
                f"each its own (tempme, tome), or another tuning (lora)"
            )
        return plan

    def serves(self, plan: tuple[Step, ...]) -> int | None:
        """Tokens of a clip that the last block serves (`Layer.finish`); None: as any other block.

        Those that are read after it: the protected ones. A tuning whose layers do not leave out
        the others answers `attended` of the last step.
        """
        last = plan[-1]
        return None if last.merged_clips or not last.protected else last.protected

    def check(self, *, frames: int, words: int, config: Sizes) -> None:  # noqa: ARG002
        """Raise BadSetting where texts and prompts are longer than the text encoder reads."""
        if self.text_rows and words + self.text_rows > config.context:
            raise BadSetting(
                f"{words} words and {self.text_rows} rows of prompts, but the text encoder reads "
                f"{config.context}: set max_words to {config.context - self.text_rows} or less, "
                f"or take fewer prompts"
            )

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:  # noqa: ARG002
        """What it adds to the cost of a video; nothing where it folds away."""
        return Extra()

    def _only_clip(self) -> str:
        return (
            f"{type(self).__name__} needs {self.of_clip}, which a CLIP has and this backbone has "
            f"not: choose a tuning that works without (full, lora, adapter, prompt)"
        )


@dataclass(frozen=True)
class DeepTuning(Tuning):
    """Settings of a tuning that sits in image blocks; texts are tuned in all of their blocks.

    vision_from: the first image block that is tuned; blocks before it stay those of CLIP, and a
        training run over a pool computes them once.
    """

    vision_from: int = field(default=0, kw_only=True)

    def check(self, *, frames: int, words: int, config: Sizes) -> None:
        """Raise BadSetting where there is no such image block, too."""
        super().check(frames=frames, words=words, config=config)
        if not 0 <= self.vision_from <= config.layers:
            raise BadSetting(
                f"{type(self).__name__} is to tune images from block {self.vision_from} on, but "
                f"the backbone has {config.layers} image blocks: set vision_from to 0 (all of "
                f"them) up to {config.layers} (none: texts alone)"
            )
