"""The match head of a model that has one: how well a text fits a video, seen together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from tempme.backbones.umt.bert import PAD
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.errors import BadSetting
from tempme.retriever import precision as numbers
from tempme.retriever.retriever import Retriever
from tempme.tokens import Tokens

# Shape letters: V videos, T texts, F frames.


def matching_umt(retriever: object) -> Umt:
    """The backbone with the match head; BadSetting where a model has none."""
    backbone = retriever.backbone if isinstance(retriever, Retriever) else None
    if not isinstance(backbone, Umt) or backbone.match_head.weight.is_meta:
        name = retriever.system.name if isinstance(retriever, Retriever) else "this model"
        raise BadSetting(
            f"{name} has no match head, which would look again at a text and a video together: "
            f"leave rerank out, or index with a UMT"
        )
    return backbone


def check_rerank(retriever: object, rerank: int | None) -> None:
    """BadSetting unless so many of the best can be looked at again with this model; None: none."""
    if rerank is None:
        return
    if rerank < 1:
        raise BadSetting(f"rerank is {rerank}; look again at 1 or more, or leave it out")
    matching_umt(retriever)


def read_texts(retriever: Retriever, texts: Sequence[str] | Tensor) -> Tokens:
    """Texts, or ids (T, W) with 0 for padding -> words that have seen each other."""
    umt = matching_umt(retriever)
    ids = texts if isinstance(texts, Tensor) else _ids(retriever, texts)
    ids = ids.to(retriever.device)
    mask = (ids != PAD).long()
    with numbers.context(retriever.precision, retriever.device):
        return umt.text.read(umt.text.embed(ids, mask))


def watch(retriever: Retriever, frames: Tensor) -> Tokens:
    """(V, F, 3, H, W) from `transform` -> the tokens of the videos, which words look at."""
    umt = matching_umt(retriever)
    retriever.check_videos(frames)
    with numbers.context(retriever.precision, retriever.device):
        return umt.vision.encode(retriever.embed(frames))


@torch.no_grad()
def match_scores(retriever: Retriever, words: Tokens, videos: Tokens) -> Tensor:
    """One text from `read_texts`, or one a video, and V videos -> (V,) fp32, higher fits better.

    The logit of "yes", by which the original ranks; it is bound to no range.
    """
    umt = matching_umt(retriever)
    if len(words.x_CND) == 1:
        words = words.rows(words.x_CND.new_zeros(videos.num_videos).long(), clips_per_video=1)
    with numbers.context(retriever.precision, retriever.device):
        return umt.match(words, videos)[:, 1].float()


def _ids(retriever: Retriever, texts: Sequence[str]) -> Tensor:
    """(T, W): cut to the longest text, since nobody sees what fills up."""
    tokenizer = cast("WordPiece", retriever.tokenizer)
    ids, mask = tokenizer(texts, max_words=retriever.system.max_words)
    return ids[:, : int(mask.sum(dim=1).max()) if len(ids) else 0]
