"""Prompt: deep prompts in both towers.

After VPT-deep (Jia et al., ECCV 2022, arXiv 2203.12119) and MaPLe (Khattak et al., CVPR 2023,
arXiv 2210.03117); here neither tower's prompts are made from the other's.

Every block of both towers sees `tokens` prompts of its own, behind the class token of a frame and
behind the start of a text; all of CLIP is frozen. Reconstructed: the paper's row has no public
code, and 5 prompts a block is the only number that agrees with its parameters (76,800 at
ViT-B/32) and both of its costs (58.2 and 216.8 at ViT-B/16). Prompts start normal, 0.02 wide.
"""

from __future__ import annotations

from dataclasses import dataclass

from tempme.backbones.backbone import Backbone
from tempme.backbones.sizes import Sizes
from tempme.cost import Extra, seeing
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tuning.layers import layers_of, prompted
from tempme.tuning.method import DeepTuning


@dataclass(frozen=True)
class Prompt(DeepTuning):
    """Prompts in every block of both towers.

    tokens: prompts of a block.
    """

    tokens: int = 5

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise BadSetting(f"prompt.tokens is {self.tokens}; it must be 1 or more")

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Let every layer see prompts; nothing of CLIP learns."""
        backbone.requires_grad_(False)
        config = backbone.config
        images, first = layers_of(backbone.vision), self.vision_from
        backbone.vision.layers = prompted(images, self.tokens, config.width, first=first)
        backbone.text.layers = prompted(layers_of(backbone.text), self.tokens, config.text_width)
        return backbone

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """Keys and values of the prompts; the original sends them through the whole block."""
        products = sum(seeing(step, config, self.tokens) for step in plan[self.vision_from :])
        return Extra(products, paper_prompts=self.tokens, prompts_from=self.vision_from)
