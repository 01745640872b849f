from __future__ import annotations

import json
import tracemalloc
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tempme.errors import BadSetting
from tempme.evaluation.metrics import (
    RetrievalMetrics,
    both_directions,
    both_directions_dual_softmax,
    dual_softmax,
    ranks,
    ranks_in_blocks,
    retrieval_metrics,
    summarize,
    video_queries,
)
from tempme.evaluation.ranks import places
from tempme.evaluation.sets import places_of_sets

HERE = Path(__file__).parents[1]
GOLDEN = json.loads((HERE / "golden/fn_metrics.json").read_text())
REAL = HERE.parents[1] / "shared/annotations/msrvtt_sim/msrvtt_vit16_sim_matrix.npy"
SQUARE = (
    *("n1", "n10", "n64", "n200", "n200_pure_noise", "n60_perfect"),
    *("n40_ties", "n8_all_equal", "n12_one_row_constant"),
)


def golden_matrix(name: str) -> np.ndarray:
    with np.load(HERE / "golden/fn_metrics.npz") as arrays:
        return np.asarray(arrays[name])


def assert_golden(metrics: RetrievalMetrics, expected: dict[str, Any]) -> None:
    ours = (metrics.r1, metrics.r5, metrics.r10, metrics.r50)
    assert ours == tuple(expected[name] for name in ("R1", "R5", "R10", "R50"))
    assert metrics.median_rank == expected["MedianR"]
    assert metrics.mean_rank == expected["MeanR"]


@pytest.mark.parametrize("name", SQUARE)
def test_legacy_equals_the_official_metrics(name: str) -> None:
    matrix = golden_matrix(name)
    both = both_directions(matrix, ties="legacy")
    assert_golden(both.t2v, GOLDEN[f"{name}.t2v"])
    assert_golden(both.v2t, GOLDEN[f"{name}.v2t"])
    assert (ranks(matrix, ties="legacy") - 1).tolist() == GOLDEN[f"{name}.t2v"]["cols"]


def test_legacy_of_more_items_than_queries() -> None:
    matrix = golden_matrix("n5x7_rect")
    metrics = retrieval_metrics(matrix, range(5), ties="legacy")
    assert_golden(metrics, GOLDEN["n5x7_rect.t2v"])
    assert_golden(
        retrieval_metrics(golden_matrix("n7x5_rect").T, range(5), ties="legacy"),
        GOLDEN["n7x5_rect.v2t"],
    )


def test_legacy_of_several_captions_per_video() -> None:
    captions = golden_matrix("multi.sim")  # (video, caption, gallery video); absent captions: -inf
    there = np.isfinite(captions[:, :, 0])
    matrix, video_of_text = captions[there], np.nonzero(there)[0]
    both = both_directions(matrix, video_of_text, ties="legacy")
    assert_golden(both.v2t, GOLDEN["multi.v2t"])
    t2v = GOLDEN["multi.tensor_text_to_video_metrics"]
    np.testing.assert_allclose(both.t2v.r1, t2v["R1"], rtol=1e-6)
    np.testing.assert_allclose(both.t2v.r5, t2v["R5"], rtol=1e-6)
    assert (both.t2v.median_rank, both.t2v.mean_rank) == (t2v["MedianR"], t2v["MeanR"])
    np.testing.assert_array_equal(
        video_queries(matrix, video_of_text)[0], golden_matrix("multi.video_to_text_sim")
    )


@pytest.mark.skipif(not REAL.exists(), reason="the matrix of a real model is not at hand")
def test_the_matrix_of_a_real_model_on_msrvtt() -> None:
    both = both_directions(np.load(REAL), ties="optimistic")
    # Captions that come twice are ties of the other direction.
    assert round(both_directions(np.load(REAL)).v2t.r1, 1) == 46.7
    t2v, v2t = both.t2v, both.v2t
    assert [round(x, 1) for x in (t2v.r1, t2v.r5, t2v.r10)] == [48.0, 71.3, 81.4]
    assert (t2v.median_rank, round(t2v.mean_rank, 3)) == (2.0, 13.649)
    assert [round(x, 1) for x in (v2t.r1, v2t.r5, v2t.r10)] == [46.9, 74.9, 83.7]
    assert (v2t.median_rank, round(v2t.mean_rank, 3)) == (2.0, 9.779)
    assert round(t2v.rsum, 1) == 200.7
    assert t2v.num_queries == 1000
    assert both_directions_dual_softmax(np.load(REAL), temperature=1.0).t2v.r1 > t2v.r1


def test_ties_do_what_their_name_says() -> None:
    matrix = np.array([[0.5, 0.9, 0.5, 0.5]])
    expected = {"optimistic": [2], "mean": [3], "pessimistic": [4], "legacy": [2, 3, 4]}
    assert {ties: ranks(matrix, [0], ties=ties).tolist() for ties in expected} == expected
    assert retrieval_metrics(matrix, [0], ties="legacy").num_queries == 1
    assert retrieval_metrics(matrix, [0]).r1 == 0
    assert places(matrix, [0]).recall(2) == pytest.approx(100 / 3)  # place 2, 3 or 4


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 6), st.integers(0, 2**31), st.integers(1, 6))
def test_expected_recall_is_the_mean_over_orders_of_the_ties(items: int, seed: int, k: int) -> None:
    row = np.random.default_rng(seed).integers(0, 3, items)
    orders = list(permutations(range(items)))
    found = [sorted(order, key=lambda i: -row[i])[:k] for order in orders]  # sorting is stable
    share = sum(0 in one for one in found) / len(orders)
    assert places(row[None], [0]).recall(k) == pytest.approx(100 * share)


def test_both_directions_of_a_constant_model_are_chance() -> None:
    both = both_directions(np.ones((20, 4)), [i % 4 for i in range(20)])
    assert (both.t2v.r1, both.v2t.r1) == (25, 25)


@pytest.mark.parametrize("block", [1, 3, 7, 1000])
def test_sets_in_blocks_equal_the_whole_matrix(block: int) -> None:
    rng = np.random.default_rng(0)
    videos = rng.integers(-2, 3, (601, 8)).astype(np.float32)
    texts = rng.integers(-2, 3, (1500, 8)).astype(np.float32)
    of = np.concatenate([np.arange(601), rng.integers(0, 601, 899)])
    sets = [np.flatnonzero(of == video) for video in range(601)]
    reverse, own = video_queries(texts @ videos.T, of)
    whole, ours = places(reverse, own), places_of_sets(videos, texts, sets, block=block)
    np.testing.assert_array_equal(ours.better, whole.better)
    np.testing.assert_array_equal(ours.equal, whole.equal)
    with pytest.raises(BadSetting, match="one each, of an item or more"):
        places_of_sets(videos, texts, sets[1:])


def test_a_collapsed_model_is_perfect_only_if_ties_are_ignored() -> None:
    collapsed = np.ones((20, 20))
    assert retrieval_metrics(collapsed, ties="optimistic").r1 == 100
    by_chance = retrieval_metrics(collapsed)
    assert (by_chance.r1, by_chance.r5, by_chance.r10) == pytest.approx((5, 25, 50))
    assert by_chance.mean_rank == 10.5
    assert retrieval_metrics(collapsed, ties="pessimistic").r10 == 0
    assert retrieval_metrics(collapsed, ties="mean").mean_rank == 10.5


def test_the_best_of_several_right_items_counts() -> None:
    matrix = np.array([[0.1, 0.9, 0.8, 0.8], [0.1, 0.9, 0.8, 0.7]])
    assert ranks(matrix, [(0, 2), (0, 3)], ties="optimistic").tolist() == [2, 3]
    # An equal score of another right item is no competitor; one of a wrong item is.
    assert ranks(matrix, [(2, 3), (0, 3)], ties="pessimistic").tolist() == [2, 3]
    assert ranks(matrix, [(2,), (0, 3)], ties="pessimistic").tolist() == [3, 3]


def test_videos_without_captions_are_gallery_but_no_queries() -> None:
    both = both_directions(np.array([[0.9, 0.1, 0.5], [0.1, 0.5, 0.9]]), [0, 2])
    assert (both.t2v.num_queries, both.v2t.num_queries) == (2, 2)
    assert (both.t2v.r1, both.v2t.r1) == (100, 100)


def reference_rank(row: np.ndarray, right: set[int], ties: str) -> float:
    best = max(row[i] for i in right)
    better = equal = 0
    for item, score in enumerate(row):
        if item in right:
            continue
        better += int(score > best)
        equal += int(score == best)
    return 1 + better + {"optimistic": 0.0, "mean": 0.5, "pessimistic": 1.0}[ties] * equal


@settings(max_examples=40, deadline=None)
@given(
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(0, 2**31),
    st.sampled_from(["optimistic", "mean", "pessimistic"]),
    st.sampled_from([np.float32, np.float16, np.int64, np.uint8, np.bool_]),
)
def test_ranks_equal_a_loop(queries: int, items: int, seed: int, ties: Any, number: Any) -> None:
    rng = np.random.default_rng(seed)
    matrix = rng.integers(0, 4, (queries, items)).astype(number)
    # A target named twice is one target.
    targets = [rng.integers(0, items, rng.integers(1, items + 1)).tolist() for _ in matrix]
    expected = [
        reference_rank(row, set(one), ties) for row, one in zip(matrix, targets, strict=True)
    ]
    assert ranks(matrix, targets, ties=ties).tolist() == expected


@pytest.mark.parametrize("block", [1, 7, 64, 1000])
@pytest.mark.parametrize("ties", ["optimistic", "pessimistic", "legacy"])
def test_blocks_equal_the_whole_matrix(block: int, ties: Any) -> None:
    rng = np.random.default_rng(0)
    # Small integers: every sum is exact in fp32, so ties are ties in any order of summation.
    queries = rng.integers(-2, 3, (601, 8)).astype(np.float32)
    gallery = rng.integers(-2, 3, (143, 8)).astype(np.float16)
    targets = [rng.integers(0, 143, rng.integers(1, 4)).tolist() for _ in queries]
    whole = ranks(queries @ gallery.T.astype(np.float32), targets, ties=ties)
    ours = ranks_in_blocks(queries, gallery, targets, block=block, ties=ties)
    np.testing.assert_array_equal(ours, whole)


def test_a_large_gallery_is_ranked_in_little_memory(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    gallery = np.memmap(tmp_path / "g", np.float16, "w+", shape=(200_000, 32))
    for start in range(0, 200_000, 20_000):
        gallery[start : start + 20_000] = rng.standard_normal((20_000, 32))
    targets = rng.integers(0, 200_000, 600)
    queries = gallery[targets].astype(np.float32) + rng.standard_normal((600, 32)) * 0.1
    tracemalloc.start()
    ours = ranks_in_blocks(queries.astype(np.float32), gallery, targets, block=2_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    matrix_bytes = 600 * 200_000 * 4
    assert peak < matrix_bytes / 25
    assert summarize(ours).r1 > 10
    one = queries[17].astype(np.float32) @ gallery.T.astype(np.float32)
    assert ours[17] == 1 + np.count_nonzero(one > one[targets[17]])


def test_tensors_give_the_same_numbers() -> None:
    matrix = torch.randn(6, 6, generator=torch.Generator().manual_seed(0))
    expected = retrieval_metrics(matrix.numpy())
    assert retrieval_metrics(matrix.requires_grad_()) == expected
    half = matrix.detach().bfloat16()
    assert retrieval_metrics(half) == retrieval_metrics(half.float().numpy())
    features = torch.nn.functional.normalize(matrix.detach(), dim=-1)
    assert ranks_in_blocks(features, features, block=4).tolist() == [1] * 6


BAD = {
    "NaN": (np.array([[np.nan, 1.0], [0.0, 1.0]]), None, "1 of 2 rows hold NaN"),
    "infinity": (np.array([[np.inf, 1.0], [0.0, 1.0]]), None, "NaN or infinity"),
    "vector": (np.ones(4), None, "matrix of queries"),
    "cube": (np.ones((2, 2, 2)), None, "matrix of queries"),
    "empty": (np.ones((0, 3)), None, "matrix of queries"),
    "rows of two lengths": ([[1.0, 2.0], [3.0]], None, "not a matrix"),
    "words": ([["a", "b"], ["c", "d"]], None, "real numbers"),
    "complex": (np.eye(2, dtype=complex), None, "real numbers"),
    "not square": (np.ones((2, 3)), None, "without targets"),
    "other direction": (np.ones((2, 3)), [0, 1, 2], "transposed"),
    "out of range": (np.ones((2, 3)), [0, 3], "from 0 to 3"),
    "negative": (np.ones((2, 3)), [-1, 0], "from -1 to 0"),
    "nothing right": (np.ones((2, 3)), [[], [1]], "one target or more"),
    "no index": (np.ones((2, 3)), [0.5, 1.0], "integer"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_ranked_is_refused(case: str) -> None:
    matrix, targets, message = BAD[case]
    with pytest.raises(BadSetting, match=message):
        retrieval_metrics(matrix, targets)  # type: ignore[arg-type]


def test_the_official_case_with_nan_is_refused_too() -> None:
    with pytest.raises(BadSetting, match="1 of 6 rows"):
        retrieval_metrics(golden_matrix("n6_nan_diag"), ties="legacy")


def test_other_refusals() -> None:
    with pytest.raises(BadSetting, match="optimistic, pessimistic"):
        ranks(np.eye(2), ties="random")  # type: ignore[arg-type]
    with pytest.raises(BadSetting, match="one target per text"):
        video_queries(np.eye(2), [(0, 1), (1,)])
    with pytest.raises(BadSetting, match="of one model"):
        ranks_in_blocks(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(BadSetting, match="at least 1"):
        ranks_in_blocks(np.ones((2, 3)), np.ones((2, 3)), block=0)
    with pytest.raises(BadSetting, match="NaN or infinity"):
        ranks_in_blocks(np.ones((2, 3)), np.array([[1, 2, 3], [1, np.nan, 3]]))
    with pytest.raises(BadSetting, match="no queries"):
        summarize(np.zeros(0))
    with pytest.raises(BadSetting, match="temperature"):
        dual_softmax(np.eye(2), 0.0)


def test_dual_softmax_is_the_score_times_its_softmax_over_the_queries() -> None:
    matrix = np.array([[0.2, 0.3], [0.1, 0.6]])
    prior = torch.softmax(torch.tensor(100.0 * matrix), dim=0).numpy()
    np.testing.assert_allclose(dual_softmax(matrix), matrix * prior, rtol=1e-12)
    # A video that is near to every text no longer wins them all.
    hub = np.array([[0.30, 0.31], [0.10, 0.40]])
    assert retrieval_metrics(hub).r1 == 50
    assert both_directions_dual_softmax(hub).t2v.r1 == 100


def test_log_lines_are_those_of_clip4clip() -> None:
    assert both_directions(np.eye(3)[[0, 2, 1]], ties="optimistic").log_lines() == (
        "Text-to-Video:\n\t>>>  R@1: 33.3 - R@5: 100.0 - R@10: 100.0"
        " - Median R: 2.0 - Mean R: 1.7 (N = 3)\n"
        "Video-to-Text:\n\t>>>  V2T$R@1: 33.3 - V2T$R@5: 100.0 - V2T$R@10: 100.0"
        " - V2T$Median R: 2.0 - V2T$Mean R: 1.7 (N = 3)"
    )
