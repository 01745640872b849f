"""Losses, gradients and steps of UMT."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from golden_umt import (
    VARIANTS,
    GoldenUmt,
    seen_by,
)
from golden_umt_near import COSINE, LOSS, TOKENS, check_gradients, near, near_number
from tempme.backbones.umt.model import Umt, mean_cosines
from tempme.backbones.umt.names import to_official
from tempme.tokens import Tokens
from tempme.training.matching import (
    Negatives,
    Pairs,
    draw_negatives,
    matching_logits,
    negative_weights,
    retrieval_losses,
    soft_contrastive_loss,
    soft_targets,
)
from tempme.training.optimizers import decay_groups, warmup_cosine


def pairs(golden: GoldenUmt, model: Umt, videos: Tokens | None = None) -> Pairs:
    videos = model.encode_videos(golden.videos) if videos is None else videos
    words = golden.words(model, slice(len(golden.videos)))
    return Pairs.of(model, videos, words, torch.tensor(golden.sizes["idx"]))


def negatives_of(expected: dict[str, Tensor]) -> Negatives:
    return Negatives(expected["neg.video_for_text"], expected["neg.text_for_video"])


def set_temperature(model: Umt, value: float) -> None:
    with torch.no_grad():
        model.temperature.fill_(value)


def check_losses_and_gradients(golden: GoldenUmt, variant: str) -> None:
    model, expected = golden.umt(variant), golden.tensors("c_losses")
    facts = golden.facts("c_losses")[variant]
    set_temperature(model, facts["temp_after_clamp"])
    own, negatives = pairs(golden, model), negatives_of(expected)
    cosines = expected[f"{variant}.sim_v2t"] * facts["temp_after_clamp"]
    near(mean_cosines(own.videos, own.texts), cosines, within=COSINE)
    near(matching_logits(model, own, own, negatives), expected[f"{variant}.vtm_logits"])
    losses = retrieval_losses(model, own, negatives=negatives)
    near_number(losses.contrastive, facts["loss_vtc"])
    near_number(losses.matching, facts["loss_vtm"])
    (losses.contrastive + losses.matching).backward()
    head = f"{variant}.grad."
    whole = {n.removeprefix(head): v for n, v in expected.items() if n.startswith(head)}
    check_gradients(model, facts["grad_norms"], whole)


@torch.no_grad()
def check_temperature_stays_in_its_range_and_weighs_negatives(golden: GoldenUmt) -> None:
    expected, facts = golden.tensors("c_losses"), golden.facts("c_losses")
    negatives = negatives_of(expected)
    for tag in (name for name in facts if re.fullmatch(r"\w+(\.temp[\d.]+)?", name)):
        variant, _, value = tag.partition(".temp")
        if variant not in VARIANTS:
            continue
        model = golden.umt(variant)
        set_temperature(model, float(value) if value else facts[tag]["temp_after_clamp"])
        model.keep_temperature()
        near_number(model.temperature, facts[tag]["temp_after_clamp"], within=1e-9)
        own = pairs(golden, model, seen_by(golden, variant))
        losses = retrieval_losses(model, own, negatives=negatives)
        loose = COSINE / facts[tag]["temp_after_clamp"]
        near_number(losses.contrastive, facts[tag]["loss_vtc"], within=max(LOSS, loose))
        near_number(losses.matching, facts[tag]["loss_vtm"])
        logits = mean_cosines(own.videos, own.texts) / model.temperature
        for name, ours in (("v2t", logits), ("t2v", logits.T)):
            weights = negative_weights(ours, own.ids, own.ids)
            near(weights, expected[f"{tag}.weights_{name}"], within=max(TOKENS, loose))


@torch.no_grad()
def check_soft_targets(golden: GoldenUmt) -> None:
    expected, facts = golden.tensors("c_losses"), golden.facts("c_losses")
    own = pairs(golden, golden.umt(), seen_by(golden, "joint"))
    assert torch.equal(soft_targets(own.ids), expected["targets"])
    cosines, warm = mean_cosines(own.videos, own.texts), facts["joint"]["temp_after_clamp"]
    different, equal = torch.arange(len(own.ids)), torch.zeros_like(own.ids)
    for name, temperature, ids in (
        ("vtc_all_ids_different", warm, different),
        ("vtc_ids_none", warm, None),
        ("vtc_temp_1", 1.0, own.ids),
        ("vtc_all_ids_equal", warm, equal),
    ):
        near_number(soft_contrastive_loss(cosines, temperature, video_ids=ids), facts[name])


@torch.no_grad()
def check_negatives_are_drawn_as_in_the_original(golden: GoldenUmt) -> None:
    model, wanted = golden.umt(), negatives_of(golden.tensors("c_losses"))
    own = pairs(golden, model, seen_by(golden, "joint"))
    torch.manual_seed(golden.sizes["seed_neg"])
    drawn = draw_negatives(own, own, model.temperature)
    assert torch.equal(drawn.videos, wanted.videos)
    assert torch.equal(drawn.texts, wanted.texts)


def check_four_steps(golden: GoldenUmt) -> None:
    model, expected = golden.umt(), golden.tensors("c_losses")
    facts, negatives = golden.facts("c_losses")["train4"], negatives_of(golden.tensors("c_losses"))
    groups = decay_groups(model.named_parameters(), weight_decay=facts["weight_decay"])
    decays = {id(p): group["weight_decay"] for group in groups for p in group["params"]}
    named = dict(model.named_parameters())
    by_name = to_official({n: torch.full_like(p, decays[id(p)]) for n, p in named.items()})
    for name, decay in facts["weight_decay_of"].items():
        near_number(by_name[name].flatten()[0], decay, within=1e-8)
    optimizer = torch.optim.AdamW(groups, lr=facts["lr"])
    share = facts["warmup"] / facts["total"]
    for step, (lr, wanted) in enumerate(zip(facts["lr_of_step"], facts["losses"], strict=True)):
        rate = facts["lr"] * warmup_cosine(
            step, total_steps=facts["total"], warmup=share, floor=facts["min_lr_multi"]
        )
        assert rate == pytest.approx(lr, rel=1e-6)
        for group in optimizer.param_groups:
            group["lr"] = rate
        model.keep_temperature()
        losses = retrieval_losses(model, pairs(golden, model), negatives=negatives)
        near_number(losses.contrastive, wanted[0], within=5e-5)
        near_number(losses.matching, wanted[1], within=5e-5)
        if step < len(facts["losses"]) - 1:
            optimizer.zero_grad()
            (losses.contrastive + losses.matching).backward()
            optimizer.step()
    near_number(model.temperature, facts["temp_after"], within=1e-6)
    after = to_official({n: p.data for n, p in model.named_parameters()})
    for name, value in expected.items():
        if name.startswith("after4."):
            near(after[name.removeprefix("after4.")], value, within=2e-5)


def check_schedule(golden: GoldenUmt) -> None:
    name = next(name for name in golden.facts("c_losses") if name.startswith("lr_multiplier"))
    found = re.fullmatch(r"lr_multiplier_warm(\d+)_total(\d+)_min([\d.]+)", name)
    assert found is not None
    rising, total, floor = int(found[1]), int(found[2]), float(found[3])
    for step, wanted in enumerate(golden.facts("c_losses")[name]):
        ours = warmup_cosine(step, total_steps=total, warmup=rising / total, floor=floor)
        assert ours == pytest.approx(wanted, rel=1e-9, abs=1e-12)
