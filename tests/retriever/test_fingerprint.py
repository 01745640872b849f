"""A fingerprint is of all weights and of the settings that are set; old ones are still known."""

from __future__ import annotations

from dataclasses import field, fields, make_dataclass, replace

import pytest
import torch

import tempme
from clip_states import SMALL
from tempme.compression import COMPRESSIONS
from tempme.pooling import POOLINGS
from tempme.retriever.fingerprint import LEGACY_SETTINGS, fingerprint, legacy_fingerprint
from tempme.tuning import TUNINGS, LoRA

SHIPPED = "tempme-fca1d350851e7f19"
# What the header of an index of format 1 holds for the same model.
SHIPPED_BEFORE = "tempme-d2b792ab3cf17a86"


# LoRA, once it has a setting more.
LATER = [("later", int, field(default=3))]
Newer = make_dataclass("LoRA", LATER, bases=(LoRA,), frozen=True)


def small(name: str = "tempme") -> tempme.Retriever:
    return tempme.Retriever.build(tempme.system(name, backbone=SMALL, frames=4), None, seed=0)


def named(retriever: tempme.Retriever) -> str:
    return fingerprint(retriever.system, retriever.backbone, retriever.tokenizer)


def test_the_shipped_model_keeps_its_name() -> None:
    shipped = tempme.load("scenes-tiny")
    assert shipped.fingerprint == SHIPPED
    assert shipped.fingerprints == (SHIPPED, SHIPPED_BEFORE)
    assert shipped.for_inference().fingerprints == (SHIPPED, SHIPPED_BEFORE)


@pytest.mark.slow
@torch.no_grad()
def test_every_number_counts() -> None:
    retriever = small()
    before = named(retriever)
    for name, value in retriever.backbone.state_dict().items():
        flat = value.view(-1)
        place = len(flat) // 2 + 1 if len(flat) > 3 else 0
        kept = flat[place].clone()
        flat[place] = torch.nextafter(kept, torch.tensor(9.0))
        assert named(retriever) != before, name
        flat[place] = kept
    assert named(retriever) == before


def test_settings_that_are_set_count_and_later_ones_do_not() -> None:
    made, other = small().system, small()
    names = {
        fingerprint(system, other.backbone, other.tokenizer)
        for system in (
            made,
            replace(made, frames=2),
            replace(made, max_words=8),
            replace(made, backbone=replace(SMALL, std=(0.5, 0.5, 0.5))),
            replace(made, tuning=replace(made.tuning, alpha=2.0)),  # type: ignore[type-var]
        )
    }
    assert len(names) == 5
    assert len({named(small()), named(small("tome")), named(small("lora"))}) == 3


def test_a_setting_that_comes_later_changes_no_name() -> None:
    retriever = small("lora")
    made, backbone, tokenizer = retriever.system, retriever.backbone, retriever.tokenizer
    before = (fingerprint(made, backbone, tokenizer), legacy_fingerprint(made, backbone))
    rank = made.tuning.rank  # type: ignore[attr-defined]
    later = replace(made, tuning=Newer(rank=rank))
    assert (fingerprint(later, backbone, tokenizer), legacy_fingerprint(later, backbone)) == before
    set_now = replace(made, tuning=Newer(rank=rank, later=4))
    assert fingerprint(set_now, backbone, tokenizer) != before[0]
    assert legacy_fingerprint(set_now, backbone) == ""


def test_the_settings_of_before_are_all_still_there() -> None:
    kinds = {k.__name__: k for k in (*TUNINGS.values(), *COMPRESSIONS.values(), *POOLINGS.values())}
    for name, settings in LEGACY_SETTINGS.items():
        assert set(settings) <= {one.name for one in fields(kinds[name])}
