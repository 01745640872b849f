"""UMT's text encoder: BERT, and a projection of its first word."""

from __future__ import annotations

from torch import Tensor, nn

from tempme.backbones.umt.bert import Bert
from tempme.backbones.umt.config import UmtConfig
from tempme.tokens import Tokens

# Shape letters: T texts, N words.


class UmtText(Bert):
    """The text encoder, and the projection of its first word into the space of videos."""

    def __init__(self, config: UmtConfig) -> None:
        super().__init__(**bert_sizes(config))
        self.projection = nn.Linear(config.text_width, config.embed)

    def forward(self, ids_TN: Tensor, mask_TN: Tensor | None = None) -> Tensor:
        """(T, N) ids, 0 where padded -> (T, embed), not normalised."""
        return self.project(self.read(self.embed(ids_TN, mask_TN)))

    def project(self, words: Tokens) -> Tensor:
        """Words from `read` -> (T, embed), not normalised."""
        return self.projection(words.x_CND[:, 0])


def bert_sizes(config: UmtConfig) -> dict[str, int]:
    """The sizes of the text encoder."""
    return {
        "vocab": config.vocab,
        "context": config.context,
        "width": config.text_width,
        "heads": config.text_heads,
        "layers": config.text_layers,
        "fusion_from": config.fusion_from,
        "watched": config.width,
    }


def initialise(model: nn.Module) -> None:
    """The original's start, for training from scratch: 0.02 wide, no bias."""
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Embedding):
            nn.init.normal_(module.weight, std=0.02)
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
