"""What torch counts of the products that run: the judge of what a plan says they cost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from tempme.backbones.backbone import made_of
from tempme.backbones.layers import fold
from tempme.retriever.precision import freeze
from tempme.retriever.retriever import Retriever
from tempme.systems.assembly import assemble
from tempme.systems.system import System
from tiny_systems import videos

Shape = tuple[int, ...]


def _attention(q: Shape, k: Shape, v: Shape, *_: Any, **__: Any) -> int:
    return int(sdpa_flop_count(q, k, v))


def _recurrent(x: Shape, of_input: Shape, of_state: Shape, *_: Any, **__: Any) -> int:
    """One direction of an LSTM layer: (F, V, D), and the weights of its four gates."""
    each = of_input[0] * of_input[1] + of_state[0] * of_state[1]
    return 2 * x[0] * x[1] * each


def _packed(x: Shape, weight: Shape, *_: Any, **__: Any) -> int:
    """A linear layer whose weight (out, in) is laid out beforehand."""
    rows = 1
    for length in x[:-1]:
        rows *= length
    return 2 * rows * weight[0] * weight[1]


# Kernels of a CPU that torch's counter passes over in silence.
KERNELS: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mkldnn_rnn_layer: _recurrent,
    torch.ops.mkldnn._linear_pointwise: _packed,
}


def multiply_adds(run: Callable[[], object]) -> int:
    """Of all products that run."""
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=KERNELS) as counter:
        run()
    return int(counter.get_total_flops()) // 2


def of_a_video(system: System) -> int:
    """Of one video, encoded by random weights that are folded for inference."""
    retriever = Retriever.build(system, None, seed=0)
    freeze(retriever.backbone, "fp32", retriever.device)  # the copy that for_inference makes
    given = videos(1, system.frames, retriever.image_size)
    return multiply_adds(lambda: retriever.encode_videos(given))


def without_numbers(system: System) -> int:
    """The same of a system of any size, by shapes alone."""
    with FakeTensorMode():
        backbone = assemble(
            made_of(system.config),
            system.tuning,
            system.compression,
            system.plan(),
            frames=system.frames,
            words=system.max_words,
            pooling=system.pooling,
        )
        vision = fold(backbone).requires_grad_(False).vision
        size = system.config.image_size
        frames = torch.empty(1, system.frames, 3, size, size)
        return multiply_adds(
            lambda: vision.relate(vision.project(vision.encode(vision.embed(frames))))
        )
