"""Batches of drawn scenes: functions of their number, in parts for several processes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tempme.backbones.tokenizer import Tokenizer
from tempme.retriever.retriever import Retriever
from tempme.scenes import clip
from tempme.scenes.batches import Pool, SceneBatches
from tempme.systems.table import system
from tempme.training import BegunBatches
from tempme.training.batches import Begun
from tempme.training.begun import begin, encode_begun, frozen_layers
from training_material import TINY


def test_frozen_layers_run_once_for_every_scene_of_a_pool() -> None:
    pool = Pool.of(6, static=0.5, lookalikes=0, seed=0)
    words = Tokenizer.of_words(
        [caption for scene in pool.scenes for caption in scene.captions], context=TINY.context
    )
    row = system("tempme", backbone=replace(TINY, vocab=words.vocab), frames=2)
    row = replace(row, tuning=replace(row.tuning, vision_from=8))
    begun = BegunBatches(Retriever.build(row, None, tokenizer=words, seed=0), pool, batch=4, seed=0)
    frames, captions, others, _ = begun.part(3, 0, 1)
    tokens = frames.x_VCND
    assert tokens.shape[:2] == (4, 2)
    assert len(captions) == len(others) == 4
    again = begun.part(3, 0, 1)
    assert torch.equal(tokens, again.frames[0])
    assert captions == again.captions
    parts = [begun.part(3, rank, 2) for rank in (0, 1)]
    assert torch.equal(tokens, torch.cat([part.frames[0] for part in parts]))
    assert [*parts[0].captions, *parts[1].captions] == captions


@torch.no_grad()
@pytest.mark.parametrize("name", ["tempme", "tempme-rlt", "rlt-share", "tempme-evs"])
def test_features_of_a_pool_are_those_of_its_videos(name: str) -> None:
    """Where frames are compared with those before, a video that runs backwards, too."""
    pool = Pool.of(6, static=0.2, lookalikes=0, seed=1)
    words = Tokenizer.of_words(
        [caption for scene in pool.scenes for caption in scene.captions], context=TINY.context
    )
    row = system(name, backbone=replace(TINY, vocab=words.vocab), frames=12)
    row = replace(row, tuning=replace(row.tuning, vision_from=8))
    retriever = Retriever.build(row, None, tokenizer=words, seed=0).eval()
    assert frozen_layers(retriever) == 8
    begun = BegunBatches(retriever, pool, batch=8, seed=0)
    batch, chosen = begun.part(0, 0, 1), pool.batch(0, 8, 0)
    assert {back for _, back, _ in chosen} == {False, True}
    videos = np.stack([clip(scene, 12, size=retriever.image_size) for _, _, scene in chosen])
    whole = retriever.encode_videos(retriever.transform(videos))
    told = encode_begun(retriever, Begun(*batch.frames).tokens())
    assert float((whole * told).sum(dim=1).min()) > 0.99  # a pool is made in bf16
    exactly = Begun.of(begin(retriever, retriever.transform(videos))).tokens()
    torch.testing.assert_close(encode_begun(retriever, exactly), whole, atol=2e-6, rtol=0)


def test_batches_are_a_function_of_their_number() -> None:
    one, other = (SceneBatches(batch=4, frames=2, size=32, seed=1) for _ in range(2))
    frames, captions, paraphrases = one[5]
    assert frames.shape == (4, 2, 32, 32, 3)
    assert np.array_equal(frames, other[5][0])
    assert (captions, paraphrases) == other[5][1:]
    assert captions != one[6][1]
    assert all(a != b for a, b in zip(captions, paraphrases, strict=True))
