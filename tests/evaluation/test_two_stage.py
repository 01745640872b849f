"""Two stages of retrieval: what is looked at again, and what the others get."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from tempme.errors import BadSetting
from tempme.evaluation.ranks import ranks
from tempme.evaluation.two_stage import official_ranks, two_stages

SIMILARITY = torch.tensor([[0.9, 0.1, 0.5, 0.3], [0.2, 0.4, 0.8, 0.6]])
SECOND = torch.tensor([[-3.0, 9.0, 2.0, 9.0], [9.0, 9.0, -7.0, -8.0]])


def look(query: int, items: Tensor) -> Tensor:
    return SECOND[query, items]


def test_only_the_best_are_looked_at_again() -> None:
    found = two_stages(SIMILARITY, look, k=2)
    assert found.places_QK.tolist() == [[0, 2], [2, 3]]
    assert found.official.tolist() == [[-3, -100, 2, -100], [-100, -100, -7, -8]]


def test_the_others_stay_behind_in_their_order() -> None:
    behind = two_stages(SIMILARITY, look, k=2).behind
    assert behind.argsort(dim=1, descending=True).tolist() == [[2, 0, 3, 1], [2, 3, 1, 0]]


def test_a_target_outside_the_best_has_its_own_rank() -> None:
    """By the official rule it ties with every other one: any place among them is possible."""
    found = two_stages(SIMILARITY, look, k=2)
    assert ranks(found.behind, [1, 0]).tolist() == [4, 4]
    assert ranks(found.official, [1, 0], ties="optimistic").tolist() == [3, 3]
    assert all(3 <= rank <= 4 for rank in official_ranks(found.official, [1, 0]))


def test_all_are_looked_at_where_there_are_few() -> None:
    found = two_stages(SIMILARITY, look)
    assert torch.equal(found.official, SECOND)
    assert ranks(found.behind, [[1], [0, 2]]).tolist() == ranks(SECOND, [[1], [0, 2]]).tolist()


@pytest.mark.parametrize("k", [0, 5])
def test_k_out_of_range(k: int) -> None:
    with pytest.raises(BadSetting, match=f"k is {k}.*1 to 4"):
        two_stages(SIMILARITY, look, k=k)


def test_official_ranks_without_ties() -> None:
    assert official_ranks(SIMILARITY, [[3, 2], [0]]).tolist() == [2, 4]
