"""A model made for inference takes no weight twice in fp32, and leaves the original as it is."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from small_models import pixels, small
from tempme.backbones.packed import PackedLinear, can_pack, packable
from tempme.retriever import precision

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(not can_pack(CPU), reason="this PyTorch packs nothing")


def by_a_whole_copy(backbone: nn.Module, numbers: str) -> nn.Module:
    made = copy.deepcopy(backbone)
    precision.freeze(made, numbers, CPU)
    return made


@pytest.mark.parametrize("name", ["tempme", "lora", "dgl", "mv-adapter", "adapter"])
@pytest.mark.parametrize("numbers", ["fp32", "bf16", "bf16-mixed"])
@torch.inference_mode()
def test_what_is_packed_is_that_of_a_whole_copy(name: str, numbers: str) -> None:
    backbone = small(name).backbone
    before = {key: value.clone() for key, value in backbone.state_dict().items()}
    ours = precision.frozen(backbone, numbers, CPU).state_dict()
    theirs = by_a_whole_copy(backbone, numbers).state_dict()
    assert ours.keys() == theirs.keys()
    for key, value in ours.items():
        assert torch.equal(value, theirs[key]), key
    for key, value in backbone.state_dict().items():
        assert torch.equal(value, before[key]), key


@pytest.mark.parametrize("name", ["tempme", "mv-adapter"])
@pytest.mark.parametrize("numbers", ["fp32", "bf16"])
def test_nothing_of_it_lies_where_the_original_does(name: str, numbers: str) -> None:
    backbone = small(name).backbone
    made = precision.frozen(backbone, numbers, CPU)
    own = {value.data_ptr() for value in backbone.state_dict().values() if value.numel()}
    assert not own & {value.data_ptr() for value in made.state_dict().values() if value.numel()}
    assert not list(packable(made))
    assert any(isinstance(module, PackedLinear) for module in made.modules())


def test_what_is_not_packed_is_copied() -> None:
    """In bf16-mixed the weights stay in fp32, as they are: no packing makes them ours."""
    backbone = small("tempme").backbone
    made = precision.frozen(backbone, "bf16-mixed", CPU)
    own = {linear.weight.data_ptr() for linear in packable(backbone)}
    assert own
    assert not own & {linear.weight.data_ptr() for linear in packable(made)}


def test_weights_that_are_packed_are_not_copied(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone, shared = small("tempme").backbone, []
    where = {linear.weight.data_ptr() for linear in packable(backbone)}
    freeze = precision.freeze

    def noting(made: nn.Module, numbers: str, device: torch.device) -> None:
        shared.extend(linear.weight.data_ptr() for linear in packable(made))
        freeze(made, numbers, device)

    monkeypatch.setattr(precision, "freeze", noting)
    precision.frozen(backbone, "fp32", CPU)
    assert where
    assert set(shared) >= where


@torch.inference_mode()
def test_features_stay_when_the_original_learns_on() -> None:
    model = copy.deepcopy(small("tempme"))
    ready = model.for_inference("fp32", "torch")
    before = ready.encode_videos(pixels(2))
    for parameter in model.backbone.parameters():
        parameter.mul_(0.5)
    torch.testing.assert_close(ready.encode_videos(pixels(2)), before, rtol=0, atol=0)
