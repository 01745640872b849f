"""A split tested in two stages: what is looked at again, by both rules, from files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from tempme.datasets.frames import read_moment
from tempme.datasets.pairs import Split
from tempme.datasets.table import open_split
from tempme.errors import BadSetting
from tempme.evaluation.evaluate import examine
from tempme.evaluation.features import SplitFeatures
from tempme.evaluation.report import EvaluationReport
from tempme.evaluation.two_stage import official_ranks
from tempme.retriever.matching import check_rerank, match_scores, read_texts, watch
from tempme.retriever.retriever import Retriever
from tempme.scenes import write
from tempme.systems.table import system
from tempme.video import Reading
from tiny_systems import TINY, tiny
from tiny_umt import tiny_umt


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> Split:
    folder = tmp_path_factory.mktemp("scenes")
    write(4, folder, size=96)
    return open_split("folder", None, annotations=folder)


@pytest.fixture(scope="module")
def tested(split: Split) -> tuple[EvaluationReport, SplitFeatures]:
    return examine(tiny_umt("umt4clip-tempme"), split, workers=1, rerank=3)


def matrix_of(split: Split) -> np.ndarray:
    """What the match head says of all pairs, one by one."""
    model = tiny_umt("umt4clip-tempme").for_inference("fp32")
    rows = []
    for caption in split.captions:
        words = read_texts(model, [caption])
        row = []
        for moment in split.moments:
            reading = Reading(frames=12, size=model.image_size)
            read = read_moment(Path(str(moment.video)), moment, reading)
            tokens = watch(model, model.transform(read.pixels[None]))  # type: ignore[union-attr]
            row.append(float(match_scores(model, words, tokens)[0]))
        rows.append(row)
    return np.array(rows)


@pytest.mark.slow
@torch.no_grad()
def test_the_best_are_in_the_order_of_the_match_head(
    split: Split, tested: tuple[EvaluationReport, SplitFeatures]
) -> None:
    report, features = tested
    assert report.second_stage is not None
    similarity, fits = features.texts @ features.videos.T, matrix_of(split)
    ranks = []
    for text, (near, fit) in enumerate(zip(similarity, fits, strict=True)):
        best = np.argsort(-near, kind="stable")[:3]
        order = [*best[np.argsort(-fit[best], kind="stable")]]
        order += [video for video in np.argsort(-near, kind="stable") if video not in best]
        ranks.append(1 + order.index(split.text_targets[text]))
    found = report.second_stage.behind.t2v
    assert found.r1 == pytest.approx(100 * np.mean(np.array(ranks) == 1))
    assert found.mean_rank == pytest.approx(np.mean(ranks))


@pytest.mark.slow
@torch.no_grad()
def test_all_of_them_by_the_official_rule(split: Split) -> None:
    report, _ = examine(tiny_umt("umt4clip-tempme"), split, workers=1, rerank=100)
    assert report.second_stage is not None
    fits = matrix_of(split)
    to_video = official_ranks(fits, split.text_targets)
    to_text = official_ranks(fits.T, split.video_targets)
    assert report.second_stage.official.t2v.mean_rank == pytest.approx(to_video.mean())
    assert report.second_stage.official.v2t.mean_rank == pytest.approx(to_text.mean())
    assert report.second_stage.behind.v2t.mean_rank == pytest.approx(to_text.mean())


def test_it_is_told(tested: tuple[EvaluationReport, SplitFeatures]) -> None:
    report, _ = tested
    lines = report.lines()
    assert "Looked at again, the best 3 of every query:" in lines
    assert "The same by UMT's rule for what was not looked at:" in lines
    assert report.as_dict()["second_stage"]["k"] == 3


def test_models_without_a_match_head(split: Split) -> None:
    clip = Retriever.build(system("lora", backbone=TINY), None, seed=0)
    with pytest.raises(BadSetting, match="lora has no match head"):
        examine(clip, split, workers=1, rerank=2)
    with pytest.raises(BadSetting, match="rerank is 0"):
        examine(clip, split, workers=1, rerank=0)


@pytest.mark.parametrize(
    ("model", "name"), [(object(), "this model"), (tiny("tempme"), "tempme")], ids=["none", "clip"]
)
def test_what_has_no_match_head_is_named(model: object, name: str) -> None:
    with pytest.raises(BadSetting, match=f"^{name} has no match head"):
        check_rerank(model, 1)
    check_rerank(model, None)
