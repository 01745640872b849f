"""Batches of drawn scenes: functions of their number, in parts for several processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from tempme.backbones.tokenizer import Tokenizer
from tempme.retriever.retriever import Retriever
from tempme.scenes.batches import Pool, SceneBatches
from tempme.systems.table import system
from tempme.training import BegunBatches
from training_material import TINY


def test_frozen_layers_run_once_for_every_scene_of_a_pool() -> None:
    pool = Pool.of(6, static=0.5, lookalikes=0, seed=0)
    words = Tokenizer.of_words(
        [caption for scene in pool.scenes for caption in scene.captions], context=TINY.context
    )
    row = system("tempme", backbone=replace(TINY, vocab=words.vocab), frames=2)
    row = replace(row, tuning=replace(row.tuning, vision_from=8))
    begun = BegunBatches(Retriever.build(row, None, tokenizer=words, seed=0), pool, batch=4, seed=0)
    (tokens, _), captions, others, _ = begun.part(3, 0, 1)
    assert tokens.shape[:2] == (4, 2)
    assert len(captions) == len(others) == 4
    again = begun.part(3, 0, 1)
    assert torch.equal(tokens, again.frames[0])
    assert captions == again.captions
    parts = [begun.part(3, rank, 2) for rank in (0, 1)]
    assert torch.equal(tokens, torch.cat([part.frames[0] for part in parts]))
    assert [*parts[0].captions, *parts[1].captions] == captions


def test_batches_are_a_function_of_their_number() -> None:
    one, other = (SceneBatches(batch=4, frames=2, size=32, seed=1) for _ in range(2))
    frames, captions, paraphrases = one[5]
    assert frames.shape == (4, 2, 32, 32, 3)
    assert np.array_equal(frames, other[5][0])
    assert (captions, paraphrases) == other[5][1:]
    assert captions != one[6][1]
    assert all(a != b for a, b in zip(captions, paraphrases, strict=True))
