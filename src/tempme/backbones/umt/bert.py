"""BERT (Devlin et al., NAACL 2019) as UMT has it: words that may look at something else.

Written here rather than taken from transformers: a block of ours is split at the seam that tunings
know, needs half the code, and starts without a library of its size (docs/dependencies.md).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from tempme.backbones.attention import attention
from tempme.backbones.layers import Attention, Cues, Layer
from tempme.errors import BadSetting
from tempme.tokens import Tokens, Watched, spread

# Shape letters: T texts, N words, D width, H heads, B videos (1, or as many as divide T),
# W tokens watched.

EPSILON = 1e-12
PAD = 0


class Look(nn.Module):
    """Attention of words to the tokens they watch, with its residual and norm."""

    def __init__(self, width: int, heads: int, watched: int) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = 0.0  # of weights, in training
        self.dropped = nn.Dropout(0.0)  # of what is added, in training
        self.q, self.kv = nn.Linear(width, width), nn.Linear(watched, 2 * width)
        self.out, self.ln = nn.Linear(width, width), nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x_TND: Tensor, watched_BWD: Tensor, bias_BW: Tensor | None = None) -> Tensor:
        """(T, N, D) words and (B, W, D) tokens -> (T, N, D).

        Keys and values are made once for all texts that watch the same tokens.
        """
        texts = len(x_TND)
        k, v = (
            spread(part.unflatten(-1, (self.heads, -1)).transpose(1, 2), texts)
            for part in self.kv(watched_BWD).chunk(2, dim=-1)
        )
        q = self.q(x_TND).unflatten(-1, (self.heads, -1)).transpose(1, 2)
        bias = None if bias_BW is None else spread(bias_BW.to(q.dtype), texts)[:, None, None]
        dropout = self.dropout if self.training else 0.0
        y = attention(q, k, v, bias, causal=False, dropout=dropout)
        return self.ln(x_TND + self.dropped(self.out(y.transpose(1, 2).flatten(2))))


class BertBlock(Layer):
    """Attention, perhaps a look at something else, and the MLP: the norm comes after each."""

    def __init__(self, width: int, heads: int, *, watched: int | None = None) -> None:
        super().__init__()
        self.attn = Attention(width, heads)
        self.ln_1 = nn.LayerNorm(width, eps=EPSILON)
        self.look = None if watched is None else Look(width, heads, watched)
        self.mlp = nn.Sequential(
            OrderedDict(
                c_fc=nn.Linear(width, 4 * width), gelu=nn.GELU(), c_proj=nn.Linear(4 * width, width)
            )
        )
        self.ln_2 = nn.LayerNorm(width, eps=EPSILON)
        self.dropped = nn.Dropout(0.0)  # of what either half adds, in training

    def attend(self, tokens: Tokens) -> tuple[Tokens, Cues]:
        """Words after they have seen each other, and what they watch."""
        y, cues = self.attn(
            tokens.x_CND,
            causal=tokens.causal,
            prompts_BMD=tokens.beside.prompts_BMD,
            hidden_CN=tokens.watched.hidden_CN,
        )
        x, watched = self.ln_1(tokens.x_CND + self.dropped(y)), tokens.watched
        if self.look is not None:
            if watched.x_BWD is None:
                raise BadSetting("a fusion layer looks at a video, but there is none")
            x = self.look(x, watched.x_BWD, watched.bias_BW)
        return replace(tokens, x_CND=x).with_prompts(None), cues

    def feed(self, tokens: Tokens) -> Tokens:
        """Words after the MLP."""
        added = self.dropped(self.mlp(tokens.x_CND))
        return replace(tokens, x_CND=self.ln_2(tokens.x_CND + added))


class Bert(nn.Module):
    """Words with their places, and a stack of layers, of which those from `fusion_from` on look."""

    def __init__(
        self,
        *,
        vocab: int,
        context: int,
        width: int,
        heads: int,
        layers: int,
        fusion_from: int,
        watched: int,
    ) -> None:
        super().__init__()
        self.context, self.fusion_from = context, fusion_from
        self.words = nn.Embedding(vocab, width, padding_idx=PAD)
        self.places = nn.Embedding(context, width)
        self.kinds = nn.Embedding(2, width)  # of the first and second text of a pair; there is one
        self.ln_embed = nn.LayerNorm(width, eps=EPSILON)
        self.dropped = nn.Dropout(0.0)  # of what words begin as, in training
        self.layers: nn.ModuleList = nn.ModuleList(
            BertBlock(width, heads, watched=watched if i >= fusion_from else None)
            for i in range(layers)
        )

    def entering(self) -> Iterator[nn.Parameter]:
        """All that stands before the first layer."""
        for module in (self.words, self.places, self.kinds, self.ln_embed):
            yield from module.parameters()

    def embed(self, ids_TN: Tensor, mask_TN: Tensor | None = None) -> Tokens:
        """(T, N) ids -> words with their places; `mask` is 0 for padding, by default id 0."""
        words = ids_TN.shape[1]
        if words > self.context:
            raise BadSetting(
                f"texts of {words} words, but the text encoder sees {self.context}: cut them "
                f"(the tokenizer does)"
            )
        hidden = ids_TN == PAD if mask_TN is None else mask_TN == 0
        x = self.words(ids_TN) + self.places.weight[:words] + self.kinds.weight[0]
        return words_of(self.dropped(self.ln_embed(x)), hidden)

    def drop(self, share: float) -> None:
        """Let training drop numbers of words, of what every half adds, and of attention."""
        for module in self.modules():
            if isinstance(module, nn.Dropout):
                module.p = share
            elif isinstance(module, Attention | Look):
                module.dropout = share

    def read(self, words: Tokens) -> Tokens:
        """Words after the layers that see words alone (UMT's "text" mode)."""
        return _through(self.layers[: self.fusion_from], words)

    def fuse(self, words: Tokens, watched_BWD: Tensor, bias_BW: Tensor | None = None) -> Tokens:
        """Words after the layers that look at (B, W, D) tokens (UMT's "fusion" mode).

        There is one set of tokens for all texts, one for each text, or one for as many neighbouring
        texts each.
        """
        looking = words.watched._replace(x_BWD=watched_BWD, bias_BW=bias_BW)
        return _through(self.layers[self.fusion_from :], replace(words, watched=looking))


def words_of(x_TND: Tensor, hidden_TN: Tensor, *, causal: bool = False) -> Tokens:
    """Words as Tokens: a text is a clip of its own, led by the start of text."""
    return Tokens(x_TND, None, 1, causal=causal, watched=Watched(hidden_TN))


def hidden_bias(mask_TN: Tensor, dtype: torch.dtype = torch.float32) -> Tensor:
    """(T, N), 1 for what is seen -> what hides the rest from those who watch it."""
    zeros = torch.zeros(mask_TN.shape, dtype=dtype, device=mask_TN.device)
    return zeros.masked_fill(mask_TN == 0, float("-inf"))


def _through(layers: Iterable[nn.Module], tokens: Tokens) -> Tokens:
    for layer in layers:
        tokens = layer(tokens)
    return tokens
