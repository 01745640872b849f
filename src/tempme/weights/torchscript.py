"""The tensors of a TorchScript archive, read as data.

OpenAI publishes CLIP as TorchScript. `torch.jit.load` would compile the code in the file, and
unpickling its `data.pkl` would call whatever that file names. Neither happens here: the
opcodes are read one by one, names stay names, and the only thing ever built is a tensor over
bytes of the same archive. What the reader does not know it keeps as an opaque value.
"""

from __future__ import annotations

import math
import pickletools
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tempme.errors import BadWeights

_DTYPES = {
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}
_VALUES = frozenset(
    ("BINUNICODE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT", "SHORT_BINUNICODE")
)


@dataclass(frozen=True)
class _Name:
    """A class or function that the file mentions; it is never looked up."""

    path: str


class _Record(dict[str, Any]):
    """The attributes of one object of the file; empty for what is opaque."""


def read_script_archive(path: Path) -> dict[str, Tensor]:
    """Every parameter and buffer under its dotted name, in its own precision."""
    try:
        with zipfile.ZipFile(path) as archive:
            return dict(_tensors(_Reader(archive).root()))
    except Exception as reason:  # opcodes in an order that no writer makes can fail anywhere
        raise BadWeights(f"{path} is a damaged TorchScript archive: {reason}") from reason


def read_pickled_archive(path: Path) -> object:
    """What `torch.save` wrote, with an opaque value for every object that is not of plain data."""
    try:
        with zipfile.ZipFile(path) as archive:
            return _Reader(archive).root()
    except Exception as reason:  # as above
        raise BadWeights(
            f"{path} is damaged, or holds Python objects, which are never loaded ({reason}); "
            f"save its state dict, as safetensors if you can"
        ) from reason


def _tensors(root: object) -> Iterator[tuple[str, Tensor]]:
    """Depth first; an object that occurs twice is named by its first place."""
    seen: set[int] = set()
    pending: list[tuple[str, object]] = [("", root)]
    while pending:
        prefix, value = pending.pop()
        if isinstance(value, Tensor):
            yield prefix, value
        if not isinstance(value, _Record) or id(value) in seen:
            continue
        seen.add(id(value))
        pending += [(f"{prefix}.{name}" if prefix else str(name), value[name]) for name in value]


class _Reader:
    """A stack machine over the opcodes of `data.pkl`."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        names = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        self._archive = archive
        self._folder = min(names, key=len).removesuffix("data.pkl") if names else ""
        self._storages: dict[str, Tensor] = {}
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._actions: dict[str, Callable[[Any], None]] = {
            "PROTO": lambda _: None,
            "STOP": lambda _: None,
            "MARK": lambda _: self._marks.append(len(self._stack)),
            "NONE": lambda _: self._stack.append(None),
            "NEWTRUE": lambda _: self._stack.append(True),
            "NEWFALSE": lambda _: self._stack.append(False),
            "EMPTY_TUPLE": lambda _: self._stack.append(()),
            "EMPTY_LIST": lambda _: self._stack.append([]),
            "EMPTY_DICT": lambda _: self._stack.append({}),
            "TUPLE": lambda _: self._stack.append(tuple(self._since_mark())),
            "TUPLE1": lambda _: self._stack.append(tuple(self._take(1))),
            "TUPLE2": lambda _: self._stack.append(tuple(self._take(2))),
            "TUPLE3": lambda _: self._stack.append(tuple(self._take(3))),
            "APPEND": lambda _: self._extend(self._take(1)),
            "APPENDS": lambda _: self._extend(self._since_mark()),
            "SETITEM": lambda _: self._set_items(self._take(2)),
            "SETITEMS": lambda _: self._set_items(self._since_mark()),
            "GLOBAL": lambda path: self._stack.append(_Name(path.replace(" ", "."))),
            "NEWOBJ": lambda _: self._make_object(),
            "REDUCE": lambda _: self._call(),
            "BUILD": lambda _: self._set_attributes(),
            "BINPERSID": lambda _: self._stack.append(self._storage(self._stack.pop())),
            "BINGET": lambda place: self._stack.append(self._memo[place]),
            "LONG_BINGET": lambda place: self._stack.append(self._memo[place]),
            "BINPUT": lambda place: self._memo.update({place: self._stack[-1]}),
            "LONG_BINPUT": lambda place: self._memo.update({place: self._stack[-1]}),
        }

    def root(self) -> object:
        """The object that the archive holds."""
        for opcode, argument, _ in pickletools.genops(
            self._archive.read(f"{self._folder}data.pkl")
        ):
            if opcode.name in _VALUES:
                self._stack.append(argument)
            elif opcode.name in self._actions:
                self._actions[opcode.name](argument)
            else:
                raise ValueError(f"unexpected opcode {opcode.name}")
        return self._stack.pop()

    def _take(self, count: int) -> list[Any]:
        return [self._stack.pop() for _ in range(count)][::-1]

    def _since_mark(self) -> list[Any]:
        start = self._marks.pop()
        values = self._stack[start:]
        del self._stack[start:]
        return values

    def _extend(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(values)

    def _set_items(self, values: list[Any]) -> None:
        if isinstance(self._stack[-1], dict):
            self._stack[-1].update(zip(values[::2], values[1::2], strict=True))

    def _make_object(self) -> None:
        self._take(2)
        self._stack.append(_Record())

    def _set_attributes(self) -> None:
        attributes = self._stack.pop()
        if isinstance(self._stack[-1], _Record) and isinstance(attributes, dict):
            self._stack[-1].update(attributes)

    def _call(self) -> None:
        function, arguments = self._take(2)
        if function == _Name("torch._utils._rebuild_tensor_v2"):
            self._stack.append(_view(*arguments[:4]))
        elif function == _Name("torch._utils._rebuild_parameter"):
            self._stack.append(arguments[0])
        else:
            self._stack.append(_Record())

    def _storage(self, reference: Any) -> Tensor:
        """The whole storage that ("storage", type, key, device, count) names, as one row."""
        _, kind, key, _, count = reference
        dtype = _DTYPES[kind.path.rpartition(".")[2]]
        if key not in self._storages:
            entry = self._archive.getinfo(f"{self._folder}data/{key}")
            if entry.file_size != count * dtype.itemsize:
                raise ValueError(f"storage {key} has {entry.file_size} bytes, not {count} values")
            content = bytearray(self._archive.read(entry))
            empty = torch.empty(0, dtype=dtype)
            self._storages[key] = torch.frombuffer(content, dtype=dtype) if content else empty
        return self._storages[key]


def _view(storage: Tensor, offset: int, size: tuple[int, ...], stride: tuple[int, ...]) -> Tensor:
    """The tensor of `size` in a storage, refused where it would reach beyond it."""
    reach = offset + sum((n - 1) * step for n, step in zip(size, stride, strict=True)) + 1
    if min((offset, *size, *stride)) < 0 or math.prod(size) > len(storage):
        raise ValueError(f"a tensor of size {size} is larger than its storage")
    if math.prod(size) and reach > len(storage):
        raise ValueError(f"a tensor of size {size} reaches beyond its storage")
    return storage.as_strided(size, stride, offset)
