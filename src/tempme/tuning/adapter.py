"""Adapter: a bottleneck beside every MLP.

After Houlsby et al. (ICML 2019, arXiv 1902.00751); beside the MLP rather than behind it as in
AdaptFormer (Chen et al., NeurIPS 2022, arXiv 2205.13535), with QuickGELU for its ReLU and without
its scale of 0.1.

Every block of both towers has a bottleneck beside its MLP: W_up act(W_down h + b_down) + b_up, with
h the normed input of the MLP and QuickGELU between. W_up starts at zero, so that training starts
at CLIP, all of which is frozen. Reconstructed: the paper's row has no public code; one bottleneck
of `width` 8 a block, with biases, agrees with its parameters (261,312 at ViT-B/32) and costs (53.1,
and 211.7 at ViT-B/16). W_down starts Xavier-uniform, as in the authors' next release.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tempme.backbones.backbone import Backbone
from tempme.backbones.mlp import QuickGELU
from tempme.backbones.sizes import Sizes
from tempme.cost import Extra
from tempme.errors import BadSetting
from tempme.schedule import Step
from tempme.tuning.layers import blocks_of
from tempme.tuning.method import DeepTuning


class Adapted(nn.Module):
    """mlp(h) plus a bottleneck of h."""

    def __init__(self, mlp: nn.Module, tokens: int, width: int, scale: float) -> None:
        super().__init__()
        self.mlp, self.scale = mlp, scale
        self.down, self.up = nn.Linear(tokens, width), nn.Linear(width, tokens)
        self.between = QuickGELU()
        nn.init.xavier_uniform_(self.down.weight)
        nn.init.normal_(self.down.bias, std=1e-6)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, h: Tensor) -> Tensor:
        """(..., D) -> (..., D)."""
        update = self.up(self.between(self.down(h)))
        return self.mlp(h) + (update if self.scale == 1 else self.scale * update)


@dataclass(frozen=True)
class Adapter(DeepTuning):
    """A bottleneck beside every MLP of both towers.

    width: numbers in the bottleneck.
    scale: how much its output counts.
    """

    width: int = 8
    scale: float = 1.0

    def __post_init__(self) -> None:
        if self.width < 1:
            raise BadSetting(f"adapter.width is {self.width}; it must be 1 or more")

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Put a bottleneck beside every MLP; nothing of CLIP learns."""
        backbone.requires_grad_(False)
        images, texts = blocks_of(backbone.vision)[self.vision_from :], blocks_of(backbone.text)
        towers = ((images, backbone.config.width), (texts, backbone.config.text_width))
        for blocks, tokens in towers:
            for layer in blocks:
                layer.add_module("mlp", Adapted(layer.mlp, tokens, self.width, self.scale))
        return backbone

    def extra(self, plan: tuple[Step, ...], config: Sizes) -> Extra:
        """Two thin products for every token that an MLP sees."""
        tuned, each = plan[self.vision_from :], 2 * config.width * self.width
        return Extra(
            products=sum(step.clips_out * step.through_mlp * each for step in tuned),
            paper=sum(step.clips_out * step.fed * each for step in tuned),
        )
