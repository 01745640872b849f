"""DiffRate's rates: the soft path equals the official one, and learning reaches its target."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from golden_compression import (
    DEPTH,
    TOKENS,
    WIDTH,
    Case,
    blocks,
    facts,
    in_any_order,
    inputs,
    last_norm,
    named,
    of_case,
    tensors,
)
from tempme.backbones.config import ClipConfig
from tempme.backbones.vision import VisionTower
from tempme.compression import DiffRate, ToMe
from tempme.compression.diffrate_learning import (
    Rate,
    RateSettings,
    SoftTokens,
    all_rates,
    learn_rates,
    masked_softmax,
    multiply_adds,
    rate_of_epoch,
    soft_block,
)
from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.systems.system import System
from tempme.tuning import LoRA

TINY = ClipConfig(
    image_size=28, patch=4, width=32, layers=4, heads=2, text_width=16, text_layers=1,
    text_heads=2, embed=16, vocab=600,
)  # fmt: skip


def relative(a: Tensor, b: Tensor, *, within: float) -> None:
    scale = b.abs().max().clamp(min=1e-30)
    torch.testing.assert_close(a / scale, b / scale, atol=within, rtol=0)


def filled(case: Case, expected: dict[str, Tensor], depth: int, patches: int) -> nn.ModuleList:
    rates = all_rates(patches, depth, case["granularity"])
    with torch.no_grad():
        for block, of_block in enumerate(rates):
            for step in ("prune", "merge"):
                getattr(of_block, step).logits.copy_(expected[f"logits.{block}.{step}"])
    return rates


@pytest.mark.parametrize("case", **named(facts("diffrate_rates")["diffrate_rate"]))
def test_one_rate(case: Case) -> None:
    expected = of_case("diffrate_rates", "diffrate_rate", case)
    rate = Rate(case["patches"], case["granularity"])
    rate.logits.data = expected["logits"]
    assert torch.equal(rate.candidates, expected["candidates"])
    kept = rate.kept()
    assert int(kept) == case["kept"]
    relative(torch.autograd.grad(kept, rate.logits)[0], expected["grad_kept"], within=1e-6)
    for name in ("full", "cur", "low"):
        mask = rate.mask(int(kept), case[f"token_number_{name}"])
        torch.testing.assert_close(mask, expected[f"mask_{name}"], atol=1e-6, rtol=0)
        total = (mask * expected["cotangent"]).sum()
        gradient = torch.autograd.grad(total, rate.logits)[0]
        relative(gradient, expected[f"grad_mask_{name}"], within=1e-5)


@pytest.mark.parametrize("case", **named(facts("diffrate_rates")["diffrate_softmax"]))
def test_softmax_among_those_present(case: Case) -> None:
    expected = of_case("diffrate_rates", "diffrate_softmax", case)
    scores, mask = (expected[k].requires_grad_() for k in ("logits", "mask"))
    out = masked_softmax(scores, mask)
    torch.testing.assert_close(out, expected["out"], atol=1e-6, rtol=0)
    gradients = torch.autograd.grad((out * expected["cotangent"]).sum(), (scores, mask))
    for gradient, name in zip(gradients, ("grad_logits", "grad_mask"), strict=True):
        relative(gradient, expected[name], within=2e-6)


@pytest.mark.parametrize("case", **named(facts("diffrate_rates")["diffrate_flops"]))
def test_multiply_adds_and_their_gradients(case: Case) -> None:
    expected = of_case("diffrate_rates", "diffrate_flops", case)
    rates = filled(case, expected, DEPTH, case["patches"])
    kept = [(rate.prune.kept(), rate.merge.kept()) for rate in rates]
    assert [[int(n) for n in step] for step in zip(*kept, strict=True)] == [
        case["prune_kept"],
        case["merge_kept"],
    ]
    total = multiply_adds(
        kept,
        tokens=case["patches"] + 1,
        width=case["C"],
        patch=case["patch_size"],
        outputs=case["classes"],
    )
    assert float(total.detach()) == pytest.approx(case["flops"], rel=1e-6)
    loss = 5 * (total / 1e9 - case["target_g"]) ** 2
    assert float(loss.detach()) == pytest.approx(case["loss_5x"], rel=1e-5)
    loss.backward()
    check_gradients(rates, expected, ("grad",), within=1e-5)


def check_gradients(
    rates: nn.ModuleList, expected: dict[str, Tensor], parts: tuple[str, ...], *, within: float
) -> None:
    """The gradient of every rate is the sum of the expected parts; a part not stored is zero."""
    compared = 0
    for block, of_block in enumerate(rates):
        for step in ("prune", "merge"):
            names = (f"{part}.{block}.{step}" for part in parts)
            stored = [expected[name] for name in names if name in expected]
            if stored and sum(stored).abs().max() > 0:
                relative(getattr(of_block, step).logits.grad, sum(stored), within=within)
                compared += 1
    assert compared >= 2 * (len(rates) - 1) - 2


@pytest.mark.parametrize("case", **named(facts("diffrate_rates")["diffrate_soft"]))
def test_learning_path(case: Case) -> None:
    """Six steps of AdamW: tokens, masks, gradients, losses, rates."""
    expected = of_case("diffrate_rates", "diffrate_soft", case)
    rates = filled(case, expected, DEPTH, TOKENS - 1)
    layers, x = blocks(case), inputs(case).x_CND.detach()
    optimizer = torch.optim.AdamW(rates.parameters(), lr=case["lr"], weight_decay=0)
    for step, wanted in enumerate(case["steps"]):
        for after in (1, 6):
            if step == after:
                check_rates(rates, expected, f"after{after}")
        states = list(
            itertools.accumulate(
                zip(layers, rates, strict=True),
                lambda tokens, pair: soft_block(pair[0], tokens, pair[1]),  # type: ignore[arg-type]
                initial=SoftTokens.of(x),
            )
        )[1:]
        task = cross_entropy(classified(states[-1], case), expected["labels"].long())
        total = multiply_adds(states[-1].kept, tokens=TOKENS, width=WIDTH, patch=32, outputs=16)
        distance = (total / 1e9 - case["target_g"]) ** 2
        assert float(task.detach()) == pytest.approx(wanted["loss_task"], rel=1e-5)
        assert float(distance.detach()) == pytest.approx(wanted["loss_flops"], rel=1e-4)
        assert [int(n) for n, _ in states[-1].kept] == wanted["prune_kept"]
        assert [int(n) for _, n in states[-1].kept] == wanted["merge_kept"]
        optimizer.zero_grad()
        (task + case["lambda_"] * distance).backward()
        if step == 0:
            check_states(states, expected, wanted["effective"])
            check_gradients(rates, expected, ("grad_task", "grad_flops"), within=5e-5)
        optimizer.step()


def classified(tokens: SoftTokens, case: Case) -> Tensor:
    weights = tensors("weights")
    out = last_norm(tokens.x_CND[:, 0], case)
    return out @ weights["head.weight"].mT + weights["head.bias"]


def check_states(states: list[SoftTokens], expected: dict[str, Tensor], present: list[int]) -> None:
    assert [state.present for state in states] == present
    for block, state in enumerate(states):
        if f"block{block}.mask" not in expected:
            continue
        n = state.present  # the order of those that are gone is open
        torch.testing.assert_close(state.mask_CN, expected[f"block{block}.mask"], atol=1e-6, rtol=0)
        first = expected.get(f"block{block}.first")
        if first is not None:
            ours = in_any_order(state.x_CND[0, :n])
            torch.testing.assert_close(ours, in_any_order(first[:n]), atol=4e-6, rtol=0)


def check_rates(rates: nn.ModuleList, expected: dict[str, Tensor], prefix: str) -> None:
    for block, of_block in enumerate(rates):
        for step in ("prune", "merge"):
            wanted = expected[f"{prefix}.{block}.{step}"]
            ours = getattr(of_block, step).logits.detach()
            torch.testing.assert_close(ours, wanted, atol=2e-5, rtol=0)


def test_learning_rate_of_every_epoch() -> None:
    used = [rate_of_epoch(epoch, epochs=5, first=0.01, last=0.001) for epoch in range(5)]
    official = [0.01, 0.01, 0.009140576474687266, 0.006890576474687264, 0.004109423525312737]
    assert used == pytest.approx(official, rel=1e-12)


@settings(max_examples=30, deadline=None)
@given(patches=st.integers(2, 60), data=st.data())
def test_a_rate_starts_in_the_middle(patches: int, data: st.DataObject) -> None:
    granularity = data.draw(st.integers(1, patches))
    rate = Rate(patches, granularity)
    expected = sum(range(patches, 0, -granularity)) / len(range(patches, 0, -granularity))
    assert expected + 1 - 1e-3 <= int(rate.kept()) <= expected + 2 + 1e-3
    mask = rate.mask(int(rate.kept()))
    assert int(mask.sum()) == int(rate.kept())


# Learning on a tiny tower


def tower() -> VisionTower:
    torch.manual_seed(0)
    return VisionTower(TINY).requires_grad_(False)


def gmacs(prune: list[int], merge: list[int]) -> float:
    kept = [(torch.tensor(float(p)), torch.tensor(float(m))) for p, m in zip(prune, merge)]  # noqa: B905
    return float(multiply_adds(kept, tokens=50, width=32, patch=4, outputs=16)) / 1e9


def batches(count: int) -> list[tuple[Tensor, Tensor]]:
    """Videos of two frames, and features that their encoder should give."""
    return [(torch.randn(2, 2, 3, 28, 28), torch.randn(2, 2, 16)) for _ in range(count)]


def distance_to_given(projected: Tensor, given: Tensor) -> Tensor:
    return (projected - given).square().mean()


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_rates_converge_to_the_target(share: float) -> None:
    dense = gmacs([50] * 4, [50] * 4)
    vision = tower()
    before = [p.clone() for p in vision.parameters()]
    target = share * dense
    # A tiny tower costs a thousandth of a real one: its distance weighs a million times more.
    found = learn_rates(
        vision,
        batches(25),
        distance_to_given,
        RateSettings(target_gmacs=target, weight=1e8, learning_rate=0.1),
    )
    assert found.gmacs == pytest.approx(target, rel=0.03)
    assert found.gmacs == pytest.approx(gmacs(list(found.prune), list(found.merge)))
    assert found.prune[0] == found.merge[0] == 50  # the first block keeps all
    for now, then in zip(vision.parameters(), before, strict=True):
        assert torch.equal(now, then)
        assert now.grad is None
    system = System("x", LoRA(), DiffRate(found.prune, found.merge), backbone=TINY, frames=2)
    assert system.plan()[-1].tokens_out == min(*found.prune, *found.merge)
    features = Retriever.build(system, None, seed=0).encode_videos(torch.randn(1, 2, 3, 28, 28))
    assert features.isfinite().all()


def test_rates_need_plain_blocks() -> None:
    system = System("x", LoRA(), ToMe(), backbone=TINY, frames=2)
    vision = Retriever.build(system, None, seed=0).backbone.vision
    with pytest.raises(BadSetting, match="without compression"):
        learn_rates(vision, batches(1), distance_to_given, RateSettings(target_gmacs=1))


def test_rates_are_learnt_on_lora_too() -> None:
    vision = Retriever.build(
        System("x", LoRA(), DiffRate(), backbone=TINY, frames=2), None, seed=0
    ).backbone.vision
    for place, layer in enumerate(vision.layers):
        vision.layers[place] = layer.layer  # type: ignore[assignment]
    found = learn_rates(
        vision, batches(2), distance_to_given, RateSettings(target_gmacs=1, epochs=1)
    )
    assert len(found.prune) == len(found.merge) == 4
    assert all(p.grad is None for p in vision.parameters())


@pytest.mark.parametrize("name", ["target_gmacs", "epochs", "weight"])
def test_settings_that_cannot_be(name: str) -> None:
    with pytest.raises(BadSetting, match=f"{name} is 0"):
        RateSettings(**{"target_gmacs": 1.0, name: 0})
    with pytest.raises(BadSetting, match="from 1 to 49"):
        all_rates(49, 12, 50)
