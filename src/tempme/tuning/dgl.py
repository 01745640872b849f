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

from dataclasses import dataclass
from typing import ClassVar, Literal

from tempme.backbones.backbone import Backbone
from tempme.backbones.layers import Block, Layer
from tempme.backbones.sizes import Sizes
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tuning.dgl_layers import (
    TEXT_PROMPTS,
    FromSpace,
    GlobalLocal,
    LinearSpace,
    Space,
    TransformerSpace,
    uniform,
)
from tempme.tuning.layers import Prompted, Prompts, blocks_of, layers_of, wrapped
from tempme.tuning.method import DeepTuning


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

    of_clip: ClassVar[str] = "a feature read off tokens that stand for the whole video"
    dead: ClassVar[tuple[str, ...]] = ("space.postfix.weight", "space.postfix.bias")

    def __post_init__(self) -> None:
        for name in ("local_prompts", "global_prompts"):
            if getattr(self, name) < 1:
                raise BadSetting(f"dgl.{name} is {getattr(self, name)}; it must be 1 or more")

    @property
    def of_own_sequence(self) -> str:
        """Its blocks look at the tokens of a frame, at prompts and at the video at once."""
        return "an attention of its own over the tokens of a frame"

    @property
    def makes_prompts(self) -> Literal["once"]:
        """They are made of what learns alone, so that they fold."""
        return "once"

    def check(self, *, frames: int, words: int, config: Sizes) -> None:
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

    def serves(self, plan: tuple[Step, ...]) -> int | None:  # noqa: ARG002
        """The feature is made of the video's own tokens: no token of a frame is served."""
        return 0

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Put every block among prompts; nothing of CLIP learns."""
        clip = self.clip(backbone)
        clip.requires_grad_(False)
        space = self.space(clip.config, frames)
        clip.add_module("space", space)
        video, first = Prompts(uniform(clip.config, self.global_prompts)), self.vision_from

        def tuned(i: int, layer: Block) -> Layer:
            local = FromSpace(space, i, textual=False)
            return GlobalLocal(layer, local, video if i == first else None)

        clip.vision.layers = wrapped(blocks_of(clip.vision), tuned, first=first)
        clip.text.layers = wrapped(
            layers_of(clip.text),
            lambda i, layer: Prompted(layer, FromSpace(space, i, textual=True)),
        )
        return clip

    def space(self, config: Sizes, frames: int) -> Space:  # noqa: ARG002
        """Where the prompts come from."""
        return LinearSpace(config, self.local_prompts)

    def parts(self, frames: int) -> int:  # noqa: ARG002
        """How often local prompts are projected for a video."""
        return 1

    def making(self, config: Sizes, frames: int) -> int:  # noqa: ARG002
        """Multiply-adds of making all prompts, once a model."""
        return config.text_layers * self.local_prompts * config.width * config.text_width

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """Prompts beside the frames, and the tokens of the video through every block."""
        frames = plan[0].clips * plan[0].join
        d, m, g = config.width, self.local_prompts, self.global_prompts
        led = plan[-1].clips_out * plan[-1].protected
        products, paper = (g - led) * d * config.embed, 0  # projected: the video's tokens alone
        for step in plan[self.vision_from :]:
            all_tokens = g + step.clips * (step.attended + m)
            own = 10 * g * d * d + 2 * g * all_tokens * d
            products += own + 2 * g * d * d + 2 * step.clips * step.asking * (g + m) * d
            products += 2 * self.parts(frames) * m * d * d
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

    def space(self, config: Sizes, frames: int) -> Space:
        """A table and a block."""
        return TransformerSpace(config, self.local_prompts, frames)

    def parts(self, frames: int) -> int:
        """Once for every frame."""
        return frames

    def making(self, config: Sizes, frames: int) -> int:
        """The block over all rows, and the MLP over those of words, for every block."""
        d, rows = config.width, TEXT_PROMPTS + frames * self.local_prompts
        block = 12 * rows * d * d + 2 * rows * rows * d
        words = TEXT_PROMPTS // 2 * 2 * d * (d + config.text_width)
        made = config.layers - self.vision_from + min(self.vision_from, config.text_layers)
        return made * block + config.text_layers * words
