"""Retrieval of UMT in two stages."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from golden_umt import (
    VARIANTS,
    Facts,
    GoldenUmt,
    seen_by,
)
from golden_umt_near import near
from tempme.backbones.umt.model import Umt, mean_cosines
from tempme.backbones.umt.vision import seen
from tempme.evaluation.metrics import summarize
from tempme.evaluation.ranks import ranks
from tempme.evaluation.two_stage import official_ranks, two_stages
from tempme.tokens import Tokens


def texts_of_videos(golden: GoldenUmt) -> list[list[int]]:
    texts = golden.config["img2txt"]
    return [[one] if isinstance(one, int) else list(one) for one in texts]


def as_targets(table: dict[str, Any]) -> list[list[int]]:
    rows = [table[str(place)] for place in range(len(table))]
    return [[row] if isinstance(row, int) else row for row in rows]


def check_ranks(matrix: Tensor, targets: list[list[int]], facts: list[Facts]) -> bool:
    """Whether all ranks are the original's; among equals that is up to numpy and the processor."""
    better = ranks(matrix, targets, ties="optimistic") - 1
    ours = official_ranks(matrix, targets) - 1
    for place, fact in enumerate(facts):
        assert better[place] == fact["strictly_greater"]
        assert 0 <= ours[place] - better[place] < fact["equal_scores"]
        if fact["equal_scores"] == 1:
            assert ours[place] == fact["official"]
    return bool((ours == [fact["official"] for fact in facts]).all())


def recalls(v2t: Tensor, t2v: Tensor, texts: list[list[int]], videos: list[list[int]]) -> Facts:
    """The original's table: "txt" is video to text, "img" text to video."""
    found: Facts = {}
    for name, matrix, targets in (("txt", v2t, texts), ("img", t2v, videos)):
        metrics = summarize(official_ranks(matrix, targets))
        each = (metrics.r1, metrics.r5, metrics.r10)
        found |= dict(zip((f"{name}_r1", f"{name}_r5", f"{name}_r10"), each, strict=True))
        found[f"{name}_r_mean"] = sum(each) / 3
    found["r_mean"] = (found["txt_r_mean"] + found["img_r_mean"]) / 2
    return found


@torch.no_grad()
def check_retrieval_in_two_stages(golden: GoldenUmt) -> None:
    expected, facts = golden.tensors("d_retrieval"), golden.facts("d_retrieval")
    texts = texts_of_videos(golden)
    videos = [[v for v, own in enumerate(texts) if t in own] for t in range(sum(map(len, texts)))]
    tags = [tag for tag in facts if tag.partition(".")[0] in VARIANTS]
    assert {tag.partition(".")[0] for tag in tags} == set(VARIANTS)
    for tag in tags:
        variant, k = tag.split(".k")
        model = golden.umt(variant)
        tokens, words = seen_by(golden, variant), golden.words(model)
        cosines = mean_cosines(model.vision.project(tokens), model.text.project(words))
        near(cosines, expected[f"{tag}.v2t_emb"])
        near(cosines.T, expected[f"{tag}.t2v_emb"])
        watched = seen(tokens)

        def of_video(
            v: int, some: Tensor, m: Umt = model, w: Tokens = words, x: Tensor = watched
        ) -> Tensor:
            return m.fits(w.rows(some, clips_per_video=1), x[v : v + 1])[:, 1]

        def of_text(
            t: int, some: Tensor, m: Umt = model, w: Tokens = words, x: Tensor = watched
        ) -> Tensor:
            same = torch.full_like(some, t)
            return m.fits(w.rows(same, clips_per_video=1), x[some])[:, 1]

        v2t = two_stages(cosines, of_video, k=min(int(k), len(words.x_CND))).official
        t2v = two_stages(cosines.T, of_text, k=min(int(k), len(watched))).official
        near(v2t, expected[f"{tag}.v2t_rerank"])
        near(t2v, expected[f"{tag}.t2v_rerank"])
        same = [
            check_ranks(v2t, texts, facts[tag]["v2t_ranks"]),
            check_ranks(t2v, videos, facts[tag]["t2v_ranks"]),
        ]
        wanted = facts[tag]["metrics"]
        ours = recalls(cosines, cosines.T, texts, videos)
        assert ours == pytest.approx(wanted["test_emb/"], abs=0.011)
        if all(same):
            again = recalls(v2t, t2v, texts, videos)
            assert again == pytest.approx(wanted["test/"], abs=0.011)


def check_metrics_of_given_matrices(golden: GoldenUmt) -> None:
    expected, cases = golden.tensors("d_retrieval"), golden.facts("d_retrieval")["metric_cases"]
    for name, case in cases.items():
        v2t, t2v = (expected[f"metric.{name}.{way}"] for way in ("v2t", "t2v"))
        texts, videos = as_targets(case["img2txt"]), as_targets(case["txt2img"])
        same = [
            check_ranks(v2t, texts, case["v2t_ranks"]),
            check_ranks(t2v, videos, case["t2v_ranks"]),
        ]
        if all(same):
            assert recalls(v2t, t2v, texts, videos) == pytest.approx(case["result"], abs=0.011)
