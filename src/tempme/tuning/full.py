"""Full fine-tuning, as CLIP4Clip has it (Luo et al., 2021, arXiv 2104.08860, section 3).

Everything above the embeddings learns, in both towers: blocks, last norms, projections and the
temperature. Patches, words, positions and the first norm stay frozen even in "full" tuning
(`freeze_layer_num` 0 of the official code, ArrowLuo/CLIP4Clip 508ffa3), which makes 123,540,993
learning parameters of ViT-B/32. Nothing is added. The original stores weights in half precision
without a copy in full, which changes its steps; ours are in full precision, so that its learning
rate of 1e-7 has to be searched anew.
"""

from __future__ import annotations

from dataclasses import dataclass

from tempme.backbones.backbone import Backbone
from tempme.tuning.method import DeepTuning


@dataclass(frozen=True)
class Full(DeepTuning):
    """CLIP itself learns.

    embeddings: whether patches, words, positions and the first norm learn, too.
    """

    embeddings: bool = False

    def tune(self, backbone: Backbone, *, frames: int, words: int) -> Backbone:  # noqa: ARG002
        """Set what requires gradients; nothing is added."""
        backbone.requires_grad_(True)
        if not self.embeddings:
            for parameter in (*backbone.vision.entering(), *backbone.text.entering()):
                parameter.requires_grad_(False)
        backbone.vision.layers[: self.vision_from].requires_grad_(False)
        return backbone
