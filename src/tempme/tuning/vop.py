"""VoP: prompts in both towers; of positions, of context, of whole videos.

Huang et al., CVPR 2023, arXiv 2211.12764 (basic: section 3.2; P, C and F: section 3.3).

Basic: 8 prompts in every block of both towers, all of CLIP frozen. P: `positional` of a frame's
prompts belong to its place in the video. C: `contextual` of them are made from the class tokens of
all frames, by one bidirectional LSTM and one linear map for all blocks. F: in the last
`joint` blocks all frames are one sequence, after learnt frame positions. Only the basic code is
public (ModelScope, 2905da12): prompts of the first image block pass the first norm, and words move
up behind the first text prompts (`text_rows`). P, C and F are reconstructed from the paper, whose
parameters they have (528,384; 14,257,152; F+C 14,269,440 and 9,216 frame positions, printed as
14.1 M there, which is less than the LSTM and the map of C alone). Original recipe: AdamW, decay
0.2, cosine, 5 epochs of batches of 32, learning rate searched, 12 frames, 77 words (69 here).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from torch import nn

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import Layer
from tempme.backbones.sizes import Sizes
from tempme.cost import Extra, seeing
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tuning.layers import Prompted, Prompts, layers_of, wrapped
from tempme.tuning.method import DeepTuning
from tempme.tuning.vop_layers import (
    Context,
    Contextual,
    FirstPrompts,
    Joint,
    Positional,
    ShiftedLine,
)


@dataclass(frozen=True)
class VoP(DeepTuning):
    """Basic VoP by default; `positional`, `contextual` and `joint` make P, C and F.

    Around joint blocks a compression may merge (tome): as many tokens leave the one sequence as
    would leave all frames, and each can merge with tokens of other frames. Contextual prompts
    depend on the video and have to be made for each; all others are learnt as they are.

    visual: prompts that a frame sees in a block, the positional and contextual ones among them.
    textual: prompts of texts in a block.
    positional: how many of a frame's prompts belong to its place in the video (P).
    contextual: how many of them are made from the class tokens of all frames (C).
    joint: how many of the last blocks see all frames as one sequence (F).
    """

    visual: int = 8
    textual: int = 8
    positional: int = 0
    contextual: int = 0
    joint: int = 0

    of_clip: ClassVar[str] = "places for prompts before its first blocks and words"

    def __post_init__(self) -> None:
        if min(self.positional, self.contextual, self.joint) < 0 or self.textual < 1:
            raise BadSetting(f"{self}: prompts of texts are 1 or more, all others 0 or more")
        if self.shared < 1:
            raise BadSetting(
                f"vop.visual is {self.visual}, vop.positional {self.positional} and "
                f"vop.contextual {self.contextual}: at least one prompt is shared by all frames"
            )

    @property
    def shared(self) -> int:
        """Prompts of a block that all frames see."""
        return self.visual - self.positional - self.contextual

    @property
    def makes_prompts(self) -> Literal["never", "of every video"]:
        """Contextual prompts are made from the frames."""
        return "of every video" if self.contextual else "never"

    @property
    def of_class_token(self) -> str:
        """Contextual prompts are made from the class tokens."""
        return "class tokens, of which contextual prompts are made" if self.contextual else ""

    @property
    def of_own_sequence(self) -> str:
        """Other frames do not see positional and contextual prompts."""
        return "prompts that one frame sees" if self.positional or self.contextual else ""

    @property
    def text_rows(self) -> int:
        """Words move up behind the prompts."""
        return self.textual

    def plan(self, plan: tuple[Step, ...]) -> tuple[Step, ...]:
        """The given plan, or all frames joined in the last blocks."""
        plan = super().plan(plan)
        if not self.joint:
            self._check_places(plan)
            return plan
        start = len(plan) - self.joint
        if start < 0:
            raise BadSetting(f"vop.joint is {self.joint}, but there are {len(plan)} blocks")
        if any(step.join > 1 or step.merged_clips for step in plan):
            raise BadSetting(
                f"vop.joint makes all frames of a video one sequence from block {start} on, but "
                f"this compression joins or merges frames itself, so that none are left to join: "
                f"choose one that keeps them (tome), or set vop.joint to 0"
            )
        if any(step.pruned or step.after for step in plan[start:]):
            raise BadSetting(
                f"vop.joint makes all frames of a video one sequence from block {start} on, where "
                f"this compression would choose by the class token of a single frame, or frame by "
                f"frame: let it end before block {start}, choose one that merges (tome), or set "
                f"vop.joint to 0"
            )
        first, *others = (_of_whole_video(step) for step in plan[start:])
        joining = replace(first, join=plan[0].clips, joined_inside=True)
        return (*plan[:start], joining, *others)

    def _check_places(self, plan: tuple[Step, ...]) -> None:
        if self.positional and any(step.merged_clips for step in plan):
            raise BadSetting(
                "vop.positional prompts belong to single frames, which this compression merges: "
                "set vop.positional to 0, or choose one that keeps frames (tome, tempme)"
            )

    def check(self, *, frames: int, words: int, config: Sizes) -> None:
        """Joint blocks are tuned ones, and prompts of frames have a block that is not joint."""
        super().check(frames=frames, words=words, config=config)
        start, first = config.layers - self.joint, self.vision_from
        if start < first:
            raise BadSetting(
                f"vop.joint is {self.joint}: all frames are one sequence from block {start} on, "
                f"but blocks before vop.vision_from, {first}, stay those of CLIP, which see one "
                f"frame: set vop.joint to {config.layers - first} or less, or vop.vision_from to "
                f"{start} or less"
            )
        of_frames = self.positional + self.contextual
        if of_frames and start == first:
            raise BadSetting(
                f"vop.positional is {self.positional} and vop.contextual {self.contextual}, but "
                f"with vop.vision_from {first} and vop.joint {self.joint} frames are apart in no "
                f"tuned block: set vop.joint or vop.vision_from lower, or those prompts to 0"
            )

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Let every layer see prompts; nothing of CLIP learns."""
        clip = self.clip(backbone)
        clip.requires_grad_(False)
        config, vision, text = clip.config, clip.vision, clip.text
        context = Context(config.width, self.contextual) if self.contextual else None
        if context is not None:
            clip.add_module("context", context)
        deep = config.layers - self.joint

        def tuned(i: int, layer: Layer) -> Layer:
            if i < deep:
                return self._image_layer(layer, i, frames=frames, config=config, context=context)
            return self._deep_layer(layer, i == deep, frames=frames, config=config)

        vision.layers = wrapped(layers_of(vision), tuned, first=self.vision_from)
        if deep and not self.vision_from:
            vision.entrance = FirstPrompts(Prompts.at_random(self.shared, config.width))
        text.line = ShiftedLine(Prompts.at_random(self.textual, config.text_width))
        text.layers = nn.ModuleList(
            Prompted(layer, Prompts.at_random(self.textual, config.text_width)) if i else layer
            for i, layer in enumerate(layers_of(text))
        )
        return clip

    def _image_layer(
        self, layer: Layer, i: int, *, frames: int, config: Sizes, context: Context | None
    ) -> Layer:
        if i:
            layer = Prompted(layer, Prompts.at_random(self.shared, config.width))
        if self.positional:
            own = Prompts.at_random(frames, self.positional, config.width)
            layer = Positional(layer, own)
        return layer if context is None else Contextual(layer, context)

    def _deep_layer(self, layer: Layer, is_first: bool, *, frames: int, config: Sizes) -> Layer:
        layer = Prompted(layer, Prompts.at_random(self.visual, config.width))
        return Joint(layer, frames, config.width) if is_first else layer

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """Keys and values of the prompts, and what makes contextual ones."""
        frames = plan[0].clips * plan[0].join
        deep, d = len(plan) - self.joint, config.width
        products = sum(seeing(step, config, self.visual) for step in plan[deep:])
        for step in plan[self.vision_from : deep]:
            own = (self.positional + self.contextual) * frames // step.clips
            # What all frames share stands beside what every clip has, and is projected with it.
            products += seeing(step, config, self.shared + own, parts=step.clips if own else 1)
        made = frames * (16 * d * d + 2 * d * self.contextual * d) if self.contextual else 0
        return Extra(
            products,
            paper_prompts=self.visual,
            prompts_from=self.vision_from,
            making=(deep - self.vision_from) * made,
        )


def _of_whole_video(step: Step) -> Step:
    """The step of the one clip that all frames make; as many tokens merge as in all of them."""
    frames = step.clips
    return replace(
        step,
        clips=1,
        attended=frames * step.attended,
        intra=frames * step.intra,
        protected=frames * step.protected,
    )
