"""Layers that lose tokens between attention and the MLP."""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn

from tempme.backbones.layers import Around, Cues, Layer
from tempme.merging import concatenate, join_clips, merge
from tempme.schedule import Step
from tempme.tokens import Tokens


class Compressed(Around[Layer]):
    """A layer around another one; a method says what `reduce` does at the seam."""

    def __init__(self, layer: Layer, step: Step, *, proportional: bool = True) -> None:
        super().__init__(layer, sees_one_frame=step.join == 1)
        self.joins_alike = layer.joins_alike  # what joins says itself whether clips are alike
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


class ClipMe(ImgMe):
    """Join neighbouring clips and merge across them, then attend and merge as ImgMe does.

    place: (clips, 1, D) what is added to the clips that join: one for every clip of a video, or one
        for every clip of a join, so that a clip is the same in whichever video it stands.
    """

    def __init__(
        self, layer: Layer, step: Step, *, proportional: bool, place: nn.Parameter | None
    ) -> None:
        super().__init__(layer, step, proportional=proportional)
        self.clip_position = place
        self.joins = step.join
        self.joins_alike = layer.joins_alike and (place is None or len(place) == step.join)

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Attention over the joined clips."""
        return super().attend(self.join(tokens))

    def finish_protected(self, tokens: Tokens) -> Tokens:
        """The protected tokens after the join."""
        return super().finish_protected(self.join(tokens))

    def join(self, tokens: Tokens) -> Tokens:
        """Join `step.join` clips; positions are added after matching, before averaging."""
        place = self._place(tokens)
        return self.across(join_clips(tokens, self.step.join), place)

    def across(self, tokens: Tokens, place: Tensor | None) -> Tokens:
        """Merge `step.cross` tokens of clips that have just joined, by whole tokens."""
        if self.step.cross == 0:
            return tokens if place is None else tokens.plus(place)
        return merge(tokens, self.step.cross, similar_by=tokens.x_CND, adding=place)

    def _place(self, tokens: Tokens) -> Tensor | None:
        if self.clip_position is None:
            return None
        times = len(tokens.x_CND) // len(self.clip_position)
        place = self.clip_position.repeat(times, len(tokens), 1)
        return concatenate(place, self.step.join, tokens.num_protected)
