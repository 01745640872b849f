"""Generated scenes: the world whose right answers are known, and can be made anywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from tempme.backbones.sizes import Sizes
from tempme.backbones.tokenizer import Tokenizer
from tempme.backbones.umt.config import UmtConfig
from tempme.backbones.umt.model import Umt
from tempme.backbones.umt.wordpiece import WordPiece
from tempme.backbones.vocabularies import AnyTokenizer
from tempme.errors import BadSetting
from tempme.evaluation.metrics import both_directions
from tempme.experiments.looked_again import scores_again
from tempme.experiments.settings import SceneData
from tempme.experiments.world import hash_of
from tempme.retriever.retriever import Retriever
from tempme.scenes import PARTS, PLAIN_PARTS, Part, Scene, clip, scenes
from tempme.scenes.batches import Pool, SceneBatches
from tempme.scenes.questions import every_word
from tempme.scenes.world import Split
from tempme.training import Batch, Batches, BegunBatches, Recipe
from tempme.training.batches import share

VOCABULARY_SCENES = 2000  # scenes of each part and split whose captions make the vocabulary
TEST_SEED, VALIDATION_SEED = 0, 1_000_003
VALIDATION_GALLERY = 100  # at most: validation comes often
ENCODED_AT_ONCE = 25  # videos
EQUAL_DIGITS = 5  # scores nearer than this are the same
AGAIN = "again"  # metrics of the second stage, beside those of the features

Matrix = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Scenes:
    """The scenes of an experiment."""

    data: SceneData
    gallery: int

    def check(self, judged: Sequence[str]) -> tuple[str, ...]:  # noqa: ARG002
        """Scenes are drawn: nothing of them can be missing."""
        return ()

    def cut_texts(self, retriever: Retriever) -> str:  # noqa: ARG002
        """Captions of scenes are short."""
        return ""

    def batches(self, retriever: Retriever, recipe: Recipe, seed: int) -> Batches:
        """New scenes in every batch, or a pool whose frozen blocks run once."""
        data, batch = self.data, recipe.batch
        if data.pool:
            pool = Pool.of(
                data.pool,
                static=data.static,
                lookalikes=data.lookalikes,
                seed=seed,
                lively=data.lively,
                plots=data.plots,
            )
            return BegunBatches(retriever, pool, batch=batch, seed=seed)
        return FreshScenes(
            SceneBatches(
                batch=batch,
                frames=retriever.num_frames,
                size=retriever.image_size,
                static=data.static,
                twins=data.twins,
                lookalikes=data.lookalikes,
                seed=seed,
                lively=data.lively,
                plots=data.plots,
            )
        )

    def steps(self, recipe: Recipe) -> int:
        """Scenes never end, so only steps say how long."""
        if recipe.epochs is not None:
            raise BadSetting("scenes never end: give recipe.steps rather than recipe.epochs")
        return recipe.steps

    def close(self) -> None:
        """Nothing is open."""

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts that are judged: lively scenes where some are learnt from."""
        return PARTS if self.data.lively else PLAIN_PARTS

    def judge(self, retriever: Retriever) -> dict[str, Any]:
        """Held-out combinations: each part in a gallery of its own, and static and temporal in
        one.
        """
        return judge_parts(retriever, self.gallery, self.parts, split="test", seed=TEST_SEED)

    def validate(self, retriever: Retriever) -> Mapping[str, Any]:
        """Scenes of the training split that no batch and no pool holds."""
        gallery = min(VALIDATION_GALLERY, self.gallery)
        return judge_parts(retriever, gallery, self.parts, split="train", seed=VALIDATION_SEED)

    def facts(self) -> dict[str, Any]:
        """A hash over captions of the test scenes: equal only where the grammar is."""
        told = {"name": self.data.name, "test": self._hash(*PLAIN_PARTS), "gallery": self.gallery}
        return told | ({"lively": self._hash("lively")} if self.data.lively else {})

    def _hash(self, *parts: Part) -> str:
        return hash_of(
            "\n".join((scene.id, *scene.captions))
            for part in parts
            for scene in scenes(self.gallery, part=part, split="test", seed=TEST_SEED)
        )


class FreshScenes:
    """`SceneBatches` as `Batches`."""

    def __init__(self, source: SceneBatches) -> None:
        self.source = source

    def part(self, step: int, rank: int, world: int) -> Batch:
        """The share of one process; the captions of all are drawn, the frames of its own alone."""
        own = share(self.source.batch, rank, world)
        frames, captions, others = self.source.part(step, own)
        numbers = range(own.start, own.stop)
        return Batch(frames, captions, others, [step * self.source.batch + n for n in numbers])


def judge_parts(
    retriever: Retriever, gallery: int, parts: Sequence[Part], *, split: Split, seed: int
) -> dict[str, dict[str, Any]]:
    """Metrics of each part, and of static and temporal in one gallery."""
    ready = retriever.for_inference("fp32")
    found = {part: scenes(gallery, part=part, split=split, seed=seed) for part in parts}
    encoded = {part: _encode(ready, some) for part, some in found.items()}
    answer = {part: judged(*encoded[part], found[part]) for part in parts}
    if isinstance(ready.backbone, Umt):  # whose match head looks at the best again
        for part in parts:
            answer[part][AGAIN] = scores_again(ready, found[part], _scores(*encoded[part]))
    texts, videos = (np.concatenate([encoded[part][i] for part in PLAIN_PARTS]) for i in (0, 1))
    return answer | {"both": _expected(_scores(texts, videos))}


def judge(
    retriever: Retriever, part: Part, *, gallery: int, seed: int = TEST_SEED
) -> dict[str, Any]:
    """Metrics of held-out scenes, one caption each: both directions, and twins told apart.

    `twins` is the share (%) of captions nearer to their video than to its twin, of scenes that
    have one, a tie counting half; mean pooling cannot do better than 50. `rivals` is the same of
    lively scenes that differ in one detail.
    """
    found = scenes(gallery, part=part, split="test", seed=seed)
    return judged(*_encode(retriever.for_inference("fp32"), found), found)


@torch.inference_mode()
def _encode(ready: Retriever, found: Sequence[Scene]) -> tuple[Matrix, Matrix]:
    """Features of the first captions (T, D), and of the videos (V, D)."""
    videos = [
        ready.encode_videos(
            torch.stack(
                [
                    ready.transform(clip(scene, ready.num_frames, size=ready.image_size))
                    for scene in found[first : first + ENCODED_AT_ONCE]
                ]
            )
        )
        for first in range(0, len(found), ENCODED_AT_ONCE)
    ]
    texts = ready.encode_texts([scene.captions[0] for scene in found])
    return texts.cpu().numpy(), torch.cat(videos).cpu().numpy()


def judged(texts: Matrix, videos: Matrix, found: Sequence[Scene]) -> dict[str, Any]:
    """Metrics of features of scenes, (T, D) of their first captions and (V, D) of their videos."""
    matrix = _scores(texts, videos)
    answer: dict[str, Any] = _expected(matrix)
    place = {scene.id: number for number, scene in enumerate(found)}
    twins = {place[one.id]: place[one.twin.id] for one in found if one.twin}
    rivals = {place[one.id]: place[one.rival.id] for one in found if one.rival}
    for name, pairs in (("twins", twins), ("rivals", rivals)):
        if pairs:
            answer[name] = _apart(matrix, pairs)
    return answer


def _apart(matrix: Matrix, pairs: Mapping[int, int]) -> float:
    """The share (%) of captions nearer to their video than to the other of a pair."""
    rows = list(pairs)
    own, other = matrix[rows, rows], matrix[rows, list(pairs.values())]
    return round(100 * float((own > other).mean() + (own == other).mean() / 2), 2)


def _scores(texts: Matrix, videos: Matrix) -> Matrix:
    return (texts @ videos.T).round(EQUAL_DIGITS)


def _expected(matrix: Matrix) -> dict[str, Any]:
    """Both directions, a tie counting half: mean-pooled twins are equal but for rounding."""
    kindly, harshly = (both_directions(matrix, ties=t) for t in ("optimistic", "pessimistic"))
    return {
        name: {key: (value + bad[key]) / 2 for key, value in good.items()}
        for name, good, bad in (
            ("t2v", kindly.t2v.as_dict(), harshly.t2v.as_dict()),
            ("v2t", kindly.v2t.as_dict(), harshly.v2t.as_dict()),
        )
    }


def vocabulary(context: int, sizes: Sizes | None = None) -> AnyTokenizer:
    """The words of the scenes' captions, and no others; a UMT knows those of questions, too.

    Lively captions have no words of their own (a test holds that).
    """
    if isinstance(sizes, UmtConfig):
        return WordPiece.of_words(chain(_words(), every_word()), context=context)
    return Tokenizer.of_words(_words(), context=context)


@cache
def _words() -> frozenset[str]:
    """Of tens of thousands of captions: drawing them takes longer than a short run learns."""
    return frozenset(
        word
        for part in PLAIN_PARTS
        for split in ("train", "test")
        for scene in scenes(VOCABULARY_SCENES, part=part, split=split, seed=1)
        for caption in scene.captions
        for word in caption.split()
    )
