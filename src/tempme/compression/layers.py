"""Layers that lose tokens between attention and the MLP."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor

from tempme.backbones.layers import Around, Cues, Layer
from tempme.merging import concatenate, merge
from tempme.schedule import Step
from tempme.tokens import Tokens


class Compressed(Around[Layer]):
    """A layer around another one; a method says what `reduce` does at the seam."""

    def __init__(self, layer: Layer, step: Step, *, proportional: bool = True) -> None:
        super().__init__(layer, sees_one_frame=step.join == 1)
        self.step, self.proportional = step, proportional

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:
        """The tokens that go on to the MLP."""
        raise NotImplementedError

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention of the layer inside, by size if proportional, then the reduction."""
        seen, cues = self.layer.attend(self._weighted(tokens))
        if not self.proportional:
            seen = replace(seen, size_CN1=_sizes(tokens, seen.clips_per_video))
        return self.reduce(seen, cues), cues

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """No token but the protected ones is needed any more, so none has to be reduced."""
        return self.layer.finish_protected(self._weighted(tokens))

    def _weighted(self, tokens: Tokens) -> Tokens:
        return tokens if self.proportional else replace(tokens, size_CN1=None)


def _sizes(tokens: Tokens, clips: int) -> Tensor | None:
    """The sizes that a layer did not see, after it; a tuning's may have joined the clips."""
    size, k = tokens.size_CN1, tokens.clips_per_video // clips
    return size if size is None or k == 1 else concatenate(size, k, tokens.num_protected)


class ImgMe(Compressed):
    """Merge the tokens of a clip whose keys are most alike (paper, section 3.2: ImgMe)."""

    def reduce(self, tokens: Tokens, cues: Cues) -> Tokens:
        """Merge `step.intra` tokens."""
        return merge(tokens, self.step.intra, similar_by=cues.keys)
