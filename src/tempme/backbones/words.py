"""CLIP's text encoder in plain numpy: what a search needs of a model, without PyTorch.

Importing PyTorch and building both towers takes seconds, and encoding one query a few
milliseconds. This is the encoder of `text.TextTower` over texts one by one, with the same numbers
but for the order of sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from tempme.backbones.tokenizer import Tokenizer

Floats: TypeAlias = NDArray[np.float32]

EPSILON = 1e-5  # of every norm
# Shape letters: W words, D width, H heads, E width of a feature.


@dataclass(frozen=True, eq=False)
class Words:
    """A text encoder and its tokenizer; `arrays` are named as in `TextTower.state_dict`.

    `activation` is one of `ACTIVATIONS`; texts longer than `max_words` are cut, as in training.
    """

    arrays: Mapping[str, Floats]
    tokenizer: Tokenizer
    heads: int
    activation: str
    max_words: int

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Texts -> unit features (T, E)."""
        rows = [self._feature(self._ids(text)) for text in texts]
        width = self.arrays["projection"].shape[1]
        return np.stack(rows) if rows else np.zeros((0, width), np.float32)

    @property
    def num_layers(self) -> int:
        """Layers of the encoder."""
        return sum(name.endswith("ln_1.weight") for name in self.arrays)

    def _ids(self, text: str) -> list[int]:
        # Words see only what stands before them: nothing after the end of text is needed.
        most = min(self.max_words, self.tokenizer.context)
        return [self.tokenizer.sot, *self.tokenizer.encode(text)[: most - 2], self.tokenizer.eot]

    def _feature(self, ids: Sequence[int]) -> Floats:
        embedded = self.arrays["token_embedding.weight"][ids].astype(np.float32)
        x = embedded + self.arrays["position_embedding"][: len(ids)]
        for number in range(self.num_layers):
            layer = f"layers.{number}."
            x = x + self._attention(layer, self._norm(f"{layer}ln_1", x))
            hidden = self._linear(f"{layer}mlp.c_fc", self._norm(f"{layer}ln_2", x))
            x = x + self._linear(f"{layer}mlp.c_proj", ACTIVATIONS[self.activation](hidden))
        feature = self._norm("ln_final", x[-1]) @ self.arrays["projection"]
        unit: Floats = feature / max(float(np.linalg.norm(feature)), 1e-12)
        return unit

    def _attention(self, layer: str, x_WD: Floats) -> Floats:
        asked = self._linear(f"{layer}attn.qkv", x_WD)
        q, k, v = asked.reshape(len(x_WD), 3, self.heads, -1).transpose(1, 2, 0, 3)
        scores_HWW = q @ k.transpose(0, 2, 1) / np.float32(math.sqrt(q.shape[-1]))
        scores_HWW += np.triu(np.full(scores_HWW.shape[1:], -np.inf, np.float32), 1)
        shares = np.exp(scores_HWW - scores_HWW.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        gathered = (shares @ v).transpose(1, 0, 2).reshape(x_WD.shape)
        return self._linear(f"{layer}attn.out", gathered)

    def _linear(self, name: str, x: Floats) -> Floats:
        y: Floats = x @ self.arrays[f"{name}.weight"].T + self.arrays[f"{name}.bias"]
        return y

    def _norm(self, name: str, x: Floats) -> Floats:
        away = x - x.mean(axis=-1, keepdims=True)
        spread = np.sqrt(np.square(away).mean(axis=-1, keepdims=True) + np.float32(EPSILON))
        y: Floats = away / spread * self.arrays[f"{name}.weight"] + self.arrays[f"{name}.bias"]
        return y


def _quick_gelu(x: Floats) -> Floats:
    y: Floats = x / (1 + np.exp(np.float32(-1.702) * x))
    return y


def _gelu(x: Floats) -> Floats:
    erf = np.frompyfunc(math.erf, 1, 1)(x / np.float32(math.sqrt(2))).astype(np.float32)
    y: Floats = x * (1 + erf) / 2
    return y


ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {"quick_gelu": _quick_gelu, "gelu": _gelu}
