"""UMT for questions: a decoder that says answers, after words that have looked at the video."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gelu, linear

from tempme.backbones.umt.bert import EPSILON, Bert, hidden_bias
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.text import bert_sizes, initialise
from tempme.backbones.umt.vision import VideoEncoder, log_sizes, seen
from tempme.tokens import Tokens

# Shape letters: T answers or questions, N words.


class AnswerDecoder(Bert):
    """Says an answer word by word, looking at a question that has looked at the video."""

    def __init__(self, config: UmtConfig) -> None:
        width = config.text_width
        sizes = bert_sizes(config) | {"layers": config.decoder_layers, "watched": width}
        super().__init__(**(sizes | {"fusion_from": 0}))
        self.head, self.ln_head = nn.Linear(width, width), nn.LayerNorm(width, eps=EPSILON)
        self.head_bias = nn.Parameter(torch.zeros(config.vocab))

    def forward(self, ids_TN: Tensor, mask_TN: Tensor | None, questions: Tokens) -> Tensor:
        """(T, N) ids of answers -> (T, N, vocab) logits of the word after each.

        `questions` are from `UmtAnswerer.ask`: one for each answer, or one for as many neighbouring
        answers each.
        """
        words = self.embed(ids_TN, mask_TN)
        words, hidden = replace(words, causal=True), questions.watched.hidden_CN
        bias = None if hidden is None else hidden_bias(~hidden)
        said = self.fuse(words, questions.x_CND, bias).x_CND
        return linear(self.ln_head(gelu(self.head(said))), self.words.weight, self.head_bias)

    def losses(self, ids_TN: Tensor, mask_TN: Tensor, questions: Tokens) -> Tensor:
        """(T,) fp32: the negative logarithm of how likely each answer is, all of its words."""
        logits = self(ids_TN, mask_TN, questions)[:, :-1].float()
        said = cross_entropy(logits.mT, ids_TN[:, 1:], reduction="none")
        return (said * (mask_TN[:, 1:] != 0)).sum(dim=1)


class UmtAnswerer(nn.Module):
    """Videos and questions -> answers: the same encoders, and a decoder of answers."""

    def __init__(self, config: UmtConfig) -> None:
        super().__init__()
        self.config = config
        self.vision, self.text = VideoEncoder(config), Bert(**bert_sizes(config))
        self.decoder = AnswerDecoder(config)
        initialise(self)

    def encode_videos(self, frames: Tensor) -> Tokens:
        """(V, F, 3, H, W) -> the tokens of the videos, normed."""
        return self.vision.encode(self.vision.embed(frames))

    def ask(
        self, ids_TN: Tensor, mask_TN: Tensor | None, videos: Tokens, *, by_size: bool = False
    ) -> Tokens:
        """Questions (T, N) about videos -> words that have looked at them."""
        words = self.text.read(self.text.embed(ids_TN, mask_TN))
        return self.text.fuse(words, seen(videos), log_sizes(videos) if by_size else None)
