"""What an experiment needs of its data, wherever that comes from."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from tempme.retriever.retriever import Retriever
from tempme.training import Batches, Recipe


class World(Protocol):
    """Batches to learn from, a question to choose weights by, and the final judgement."""

    def check(self, judged: Sequence[str]) -> tuple[str, ...]:
        """Look at all that a run will need, before it begins; a line for each split of videos.

        judged: the roles of the splits that will be encoded ("test", "validation").
        """

    def cut_texts(self, retriever: Retriever) -> str:
        """How many texts are longer than the retriever reads, for a person; empty if none is."""

    def batches(self, retriever: Retriever, recipe: Recipe, seed: int) -> Batches:
        """What the retriever learns from."""

    def steps(self, recipe: Recipe) -> int:
        """Steps of the whole run, once its batches are there."""

    def close(self) -> None:
        """Nothing more is learnt from it."""

    def judge(self, retriever: Retriever) -> dict[str, Any]:
        """Metrics of held-out videos by part: `{part: {"t2v": ..., "v2t": ...}}`."""

    def validate(self, retriever: Retriever) -> Mapping[str, Any]:
        """The same of other videos, by which weights may be chosen."""

    def facts(self) -> dict[str, Any]:
        """What the data is: hashes and counts, and which videos could not be used."""


def hash_of(texts: Iterable[str]) -> str:
    """16 digits that are equal where the texts, one after the other, are."""
    digest = hashlib.blake2b(digest_size=8)
    for text in texts:
        digest.update(text.encode())
    return digest.hexdigest()
