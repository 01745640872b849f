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

from tempme.errors import BadWeights

PASS_BYTES = 1 << 20


class TensorsOnDisk(Mapping[str, Tensor]):
    """name -> tensor, as the file has it; each is read when it is asked for.

    `identity` tells the file from others, and from what it was. Making it reads the head of the
    file. OSError, ValueError and SafetensorError, then or later; BadWeights where another file has
    taken its place meanwhile, or it was written over.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.identity = _identity(path)
        self._names = dict.fromkeys(self._opened().keys())
        # Nothing stays mapped until tensors are read: a file cut meanwhile would end the process.
        self._file: Any = None
        self._read_bytes = 0

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
        self._check()
        file = safe_open(self._path, framework="pt")
        self._check()
        return file

    def _check(self) -> None:
        if _identity(self._path) != self.identity:
            raise BadWeights(f"{self._path} was written anew while it was read: load it again")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """name -> shape; no number is read."""
        with safe_open(self._path, framework="pt") as file:
            return {name: tuple(file.get_slice(name).get_shape()) for name in self._names}


def _identity(path: Path) -> tuple[int, ...]:
    """What tells a file from one that has taken its place, or was written over."""
    found = path.stat()
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@torch.no_grad()
def take(state: Mapping[str, Tensor], source: Mapping[str, Tensor]) -> None:
    """Copy the tensors of `source` into those of a module's `state`, one after the other."""
    for name in source:
        state[name].copy_(source[name])
