"""The parts of VoP: prompts of places and of context, and joint layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tempme.backbones.layers import Layer
from tempme.backbones.text import text_of
from tempme.merging import join_clips
from tempme.tokens import Tokens
from tempme.tuning.layers import Borrowed, Preceded, Prompts

# Shape letters: V videos, F frames, C clips, M prompts of a frame, T texts, W words, D width.


class FirstPrompts(nn.Module):
    """Prompts that the first image block sees after the first norm."""

    def __init__(self, prompts: Prompts) -> None:
        super().__init__()
        self.prompts = prompts

    def forward(self, tokens: Tokens) -> Tokens:
        """The same tokens, with the prompts beside them."""
        return tokens.seeing(self.prompts())


class ShiftedLine(nn.Module):
    """Prompts between the start of a text and its words, which move up."""

    def __init__(self, prompts: Prompts) -> None:
        super().__init__()
        self.prompts = prompts

    def forward(
        self, words_TWD: Tensor, ends_T: Tensor, places_RD: Tensor
    ) -> tuple[Tokens, Tensor]:
        """Prompts stay beside the words, so the end stays where it was."""
        prompts = self.prompts()
        ahead, words = 1 + len(prompts), words_TWD.shape[1]
        places = torch.cat([places_RD[:1], places_RD[ahead : ahead + words - 1]])
        return text_of(words_TWD + places).seeing(prompts + places_RD[1:ahead]), ends_T


class BiLSTM(nn.Module):
    """torch's bidirectional LSTM as wide as its input, but fit for one compiled graph."""

    def __init__(self, width: int) -> None:
        super().__init__()
        shapes = ((4 * width, width), (4 * width, width), (4 * width,), (4 * width,))
        self.weights = nn.ParameterList(
            torch.empty(shape).uniform_(-(width**-0.5), width**-0.5)
            for _ in range(2)
            for shape in shapes
        )
        self.width = width

    def forward(self, frames_VFD: Tensor) -> Tensor:
        """(V, F, D) -> (V, F, 2 D)."""
        start = frames_VFD.new_zeros(2, len(frames_VFD), self.width)
        weights = list(self.weights)
        seen, *_ = torch.lstm(frames_VFD, (start, start), weights, True, 1, 0.0, False, True, True)
        return seen


class Context(nn.Module):
    """The class tokens of a video's frames -> prompts of every frame."""

    def __init__(self, width: int, prompts: int) -> None:
        super().__init__()
        self.lstm = BiLSTM(width)
        self.out = nn.Linear(2 * width, prompts * width)
        self.prompts = prompts

    def forward(self, frames_VFD: Tensor) -> Tensor:
        """(V, F, D) -> (V, F, M, D)."""
        return self.out(self.lstm(frames_VFD)).unflatten(-1, (self.prompts, -1))


class Framed(Preceded):
    """A layer whose attention sees prompts of the frames of a clip."""

    def __init__(self, layer: Layer) -> None:
        super().__init__(layer, sees_one_frame=False)

    def of_frames(self, tokens: Tokens) -> Tensor:
        """(1 or V, F, M, D)."""
        raise NotImplementedError

    def before(self, tokens: Tokens) -> Tokens:
        """The tokens of every clip with the prompts of its frames beside them."""
        of_frames = self.of_frames(tokens)
        of_clips = of_frames.unflatten(1, (tokens.clips_per_video, -1)).flatten(2, 3)
        every = of_clips.expand(tokens.num_videos, -1, -1, -1)
        return tokens.seeing(every.flatten(0, 1))


class Positional(Framed):
    """Prompts that belong to the place of a frame in its video."""

    def __init__(self, layer: Layer, prompts: Prompts) -> None:
        super().__init__(layer)
        self.prompts = prompts

    def of_frames(self, tokens: Tokens) -> Tensor:  # noqa: ARG002
        """(1, F, M, D): whatever the frames show."""
        return self.prompts()[None]


class Contextual(Framed):
    """Prompts made from the class tokens that enter the layer."""

    def __init__(self, layer: Layer, context: Context) -> None:
        super().__init__(layer)
        self.context = Borrowed(context)

    def of_frames(self, tokens: Tokens) -> Tensor:
        """(V, F, M, D)."""
        classes = tokens.x_CND[:, : tokens.num_protected]
        by_video = classes.unflatten(0, (tokens.num_videos, -1)).flatten(1, 2)
        return self.context.module(by_video)


class Joint(Preceded):
    """A layer before which all frames of a video become one clip."""

    def __init__(self, layer: Layer, frames: int, width: int) -> None:
        super().__init__(layer, sees_one_frame=False)
        self.frame_position = nn.Parameter(torch.zeros(frames, width))

    def before(self, tokens: Tokens) -> Tokens:
        """The whole video, each frame's tokens with its place."""
        place = self.frame_position.repeat(tokens.num_videos, 1)[:, None]
        return join_clips(tokens.plus(place), len(self.frame_position))
