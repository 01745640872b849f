"""Which numbers are computed in: what each word means, and what "auto" is where."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from tempme.errors import UnknownName
from tempme.retriever import precision

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _ask_anew() -> Iterator[None]:
    """What a machine can do is remembered; here it changes."""
    precision.has_bf16.cache_clear()
    yield
    precision.has_bf16.cache_clear()


@pytest.mark.parametrize(
    ("name", "weights", "products"),
    [
        ("fp32", torch.float32, torch.float32),
        ("bf16", torch.bfloat16, torch.bfloat16),
        ("bf16-mixed", torch.float32, torch.bfloat16),
    ],
)
def test_what_weights_and_products_are(
    name: str, weights: torch.dtype, products: torch.dtype
) -> None:
    assert precision.resolve(name, CPU) == name
    assert precision.dtype(name) == weights
    matrix = torch.eye(2, dtype=weights)
    with precision.context(name, CPU):
        assert (matrix @ matrix).dtype == products
        assert (matrix + matrix).dtype == weights


def test_an_unknown_word_lists_the_known() -> None:
    with pytest.raises(UnknownName, match=r"fp32.*bf16"):
        precision.resolve("fp8", CPU)


@pytest.mark.parametrize(
    ("amx", "avx512_bf16", "capability", "has"),
    [
        (True, False, "AMX", True),
        (False, True, "AVX512", True),
        (True, False, "AVX512_BF16", True),
        (False, False, "AVX512", False),
        (True, True, "AVX2", False),  # torch was told, or built, not to use them
        (False, False, "DEFAULT", False),
    ],
)
def test_auto_is_bf16_where_a_processor_has_its_products(
    amx: bool, avx512_bf16: bool, capability: str, has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    assert precision.has_bf16("cpu") is has
    assert precision.resolve("auto", CPU) == ("bf16" if has else "fp32")


@pytest.mark.parametrize("has", [True, False])
def test_auto_asks_a_gpu_for_products_of_its_own(
    has: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_supported(*, including_emulation: bool = True) -> bool:
        return has or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_supported)
    assert precision.resolve("auto", torch.device("cuda")) == ("bf16" if has else "fp32")


def test_auto_is_fp32_on_machines_nobody_knows() -> None:
    assert precision.resolve("auto", torch.device("meta")) == "fp32"
