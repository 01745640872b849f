"""A file of tensors, written.

Not by safetensors' own writer: that one writes a file under another name beside the target, which a
killed process leaves behind and which nobody else knows to be in the making.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

# The format's names of types.
TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
ALIGNED_BYTES = 8
LENGTH_BYTES = 8


def save_tensors(
    state: Mapping[str, Tensor], path: Path, *, metadata: Mapping[str, str] | None = None
) -> None:
    """Write a safetensors file into `path`, one tensor in memory at a time.

    Tensors that share memory are written each. OSError whatever hinders it.
    """
    # Wide types first, as the format's own writer has them: then every tensor is aligned.
    names = sorted(state, key=lambda name: (-state[name].element_size(), name))
    head = _head(state, names, metadata)
    with path.open("wb") as file:
        file.write(len(head).to_bytes(LENGTH_BYTES, "little") + head)
        for name in names:
            plain = state[name].detach().cpu().contiguous().reshape(-1)
            file.write(plain.view(torch.uint8).numpy().data)


def _head(
    state: Mapping[str, Tensor], names: list[str], metadata: Mapping[str, str] | None
) -> bytes:
    head: dict[str, object] = {} if metadata is None else {"__metadata__": dict(metadata)}
    end = 0
    for name in names:
        tensor = state[name]
        begin, end = end, end + tensor.numel() * tensor.element_size()
        head[name] = {
            "dtype": TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(head, separators=(",", ":")).encode()
    return text + b" " * (-len(text) % ALIGNED_BYTES)
