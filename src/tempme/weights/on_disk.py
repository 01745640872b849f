"""The tensors of a safetensors file, read one at a time: none is kept in memory here.

A file that is opened as a whole stays mapped as long as one of its tensors lives, and what was read
of it counts as the process's memory. So it is opened anew after every `PASS_BYTES`; for each tensor
would be too often, since opening reads the head, which names them all.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor

PASS_BYTES = 1 << 20


class TensorsOnDisk(Mapping[str, Tensor]):
    """name -> tensor, as the file has it; each is read when it is asked for.

    Making it reads the head of the file. OSError, ValueError and SafetensorError, then or later.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = self._opened()
        self._read_bytes = 0
        self._names = dict.fromkeys(self._file.keys())

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        file = self._file or self._opened()
        tensor: Tensor = file.get_tensor(name)
        self._read_bytes += tensor.nbytes
        self._file = file
        if self._read_bytes >= PASS_BYTES:
            self._file, self._read_bytes = None, 0
        return tensor

    def _opened(self) -> Any:
        return safe_open(self._path, framework="pt")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """name -> shape; no number is read."""
        with safe_open(self._path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in self._names}


@torch.no_grad()
def take(state: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Copy the tensors of `source` into those of a module's `state`, one after the other."""
    for name in source:
        state[name].copy_(source[name])
