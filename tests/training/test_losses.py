from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from tempme.errors import BadSetting
from tempme.training.losses import contrastive_loss, symmetric_cross_entropy

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/fn_optim.json").read_text())["crossen"]


def features(count: int, *, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(count, 8, generator=generator), dim=-1)


def test_cross_entropy_equals_the_official_one() -> None:
    logits = torch.tensor(GOLDEN["logits"])
    assert symmetric_cross_entropy(logits).item() == pytest.approx(GOLDEN["sym"], rel=1e-6)
    assert symmetric_cross_entropy(logits.T).item() == pytest.approx(GOLDEN["sym"], rel=1e-6)


def test_loss_equals_a_loop() -> None:
    texts, videos = features(4, seed=0), features(4, seed=1)
    total = 0.0
    for i in range(4):
        row = [math.exp(10.0 * float(texts[i] @ videos[j])) for j in range(4)]
        column = [math.exp(10.0 * float(texts[j] @ videos[i])) for j in range(4)]
        total -= math.log(row[i] / sum(row)) + math.log(column[i] / sum(column))
    loss = contrastive_loss(texts, videos, math.log(10.0))
    assert loss.item() == pytest.approx(total / 8, rel=1e-5)


def test_the_scale_learns_and_halves_are_computed_in_full() -> None:
    texts, videos = features(4, seed=0), features(4, seed=1)
    scale = torch.tensor(4.0, requires_grad=True)
    texts, videos = texts.bfloat16(), videos.bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        loss = contrastive_loss(texts, videos, scale)
    loss.backward()
    assert loss.item() == contrastive_loss(texts.float(), videos.float(), 4.0).item()
    assert scale.grad is not None
    assert scale.grad.item() != 0


def test_captions_of_one_video_are_no_negatives_if_asked() -> None:
    texts, videos = features(3, seed=0), features(3, seed=1)
    videos[1] = videos[0]
    ids = torch.tensor([7, 7, 9])
    logits = (texts @ videos.T).exp()
    row = [logits[0, 0] + logits[0, 2], logits[1, 1] + logits[1, 2], logits[2].sum()]
    column = [logits[0, 0] + logits[2, 0], logits[1, 1] + logits[2, 1], logits[:, 2].sum()]
    expected = sum(-(logits[i, i] / both[i]).log() for i in range(3) for both in (row, column)) / 6
    loss = contrastive_loss(texts, videos, 0.0, video_ids=ids)
    torch.testing.assert_close(loss, torch.as_tensor(expected))
    assert loss < contrastive_loss(texts, videos, 0.0)
    distinct = contrastive_loss(texts, videos, 0.0, video_ids=torch.arange(3))
    torch.testing.assert_close(distinct, contrastive_loss(texts, videos, 0.0))


def test_rows_that_are_no_pairs_are_refused() -> None:
    with pytest.raises(BadSetting, match="repeat the video of each caption"):
        contrastive_loss(features(4, seed=0), features(3, seed=1), 1.0)
