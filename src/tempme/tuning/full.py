"""Full fine-tuning as in CLIP4Clip (Luo et al., 2021): everything above the embeddings learns."""

from __future__ import annotations

from dataclasses import dataclass

from tempme.clip.model import Clip
from tempme.tuning.method import Tuning


@dataclass(frozen=True)
class Full(Tuning):
    """Blocks, last norms, projections and temperature learn; `embeddings` too if asked for.

    CLIP4Clip freezes patches, words, positions and the first norm even in "full" tuning.
    """

    embeddings: bool = False

    def tune(self, clip: Clip, *, frames: int, words: int) -> Clip:  # noqa: ARG002
        """Set what requires gradients; nothing is added."""
        clip.requires_grad_(True)
        if not self.embeddings:
            vision, text = clip.vision, clip.text
            for module in (vision.patch_embedding, vision.ln_pre, text.token_embedding):
                module.requires_grad_(False)
            for vector in (
                vision.class_embedding,
                vision.position_embedding,
                text.position_embedding,
            ):
                vector.requires_grad_(False)
        return clip
