"""Scenes found in two stages: features find the best, and the match head looks at those again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from tempme.backbones.umt.vision import seen
from tempme.evaluation.metrics import metrics_of
from tempme.evaluation.ranks import places
from tempme.evaluation.two_stage import Match, two_stages
from tempme.retriever.matching import matching_umt, read_texts, watch
from tempme.retriever.retriever import Retriever
from tempme.scenes import Scene, clip
from tempme.tokens import Tokens

LOOKED_AT = 16  # of every query: a gallery of scenes is small
ENCODED_AT_ONCE = 25  # videos


@torch.inference_mode()
def scores_again(
    ready: Retriever, found: Sequence[Scene], similarity_TV: npt.NDArray[Any]
) -> dict[str, Any]:
    """Both directions, the best 16 of every query in the order of the match head."""
    words = read_texts(ready, [scene.captions[0] for scene in found])
    watched = torch.cat([_watched(ready, some) for some in _parts(found)])
    k = min(LOOKED_AT, len(found))
    matrix = torch.from_numpy(similarity_TV)

    def of_text(text: int, videos: Tensor) -> Tensor:
        rows = torch.full_like(videos, text)
        return _fit(ready, words.rows(rows, clips_per_video=1), watched[videos])

    def of_video(video: int, texts: Tensor) -> Tensor:
        return _fit(ready, words.rows(texts, clips_per_video=1), watched[video][None])

    def judged(similarity: Tensor, match: Match) -> dict[str, Any]:
        behind = two_stages(similarity, match, k=k).behind.numpy()
        return dict(metrics_of(places(behind)).as_dict())

    return {"t2v": judged(matrix, of_text), "v2t": judged(matrix.T.contiguous(), of_video)}


def _fit(ready: Retriever, words: Tokens, watched: Tensor) -> Tensor:
    return matching_umt(ready).fits(words, watched)[:, 1].float()


def _watched(ready: Retriever, some: Sequence[Scene]) -> Tensor:
    frames, size = ready.num_frames, ready.image_size
    return torch.cat(
        [
            seen(watch(ready, ready.transform(clip(scene, frames, size=size))[None]))
            for scene in some
        ]
    )


def _parts(found: Sequence[Scene]) -> list[Sequence[Scene]]:
    return [found[i : i + ENCODED_AT_ONCE] for i in range(0, len(found), ENCODED_AT_ONCE)]
