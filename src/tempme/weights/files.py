"""Files of tensors: safetensors, PyTorch's own, TorchScript; one file or several shards.

No pickle is ever executed: `torch.load` runs with `weights_only`, TorchScript is read as data, and
so is a checkpoint that holds Python objects (settings, say) beside its tensors: they stay names.
What a file is, is told by its content, not by its name.
"""

from __future__ import annotations

import pickle
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor

from tempme.errors import BadWeights
from tempme.untrusted import MEBIBYTE, check_regular
from tempme.untrusted import read_json as read_untrusted_json
from tempme.weights.on_disk import TensorsOnDisk
from tempme.weights.torchscript import read_pickled_archive, read_script_archive

# Names under which published folders keep a whole CLIP, the safest form first.
FOLDER_FILES = (
    "open_clip_model.safetensors",
    "model.safetensors",
    "model.safetensors.index.json",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
)
_WEB_PAGE = "is a web page, not weights; download the file itself"
_NO_WEIGHTS = (
    (b"version https://git-lfs", "is a git-lfs pointer, not the weights; run `git lfs pull` there"),
    (b"<!doctype", _WEB_PAGE),
    (b"<html", _WEB_PAGE),
    (b"<?xml", _WEB_PAGE),
)
# Archives of weights store their tensors as they are; only what describes them is compressed.
MOST_COMPRESSED_BYTES = 64 * MEBIBYTE
# Tensors may share their numbers (tied embeddings), but hardly more than this many times.
MOST_SHARING = 4
_WRAPPERS = ("state_dict", "model_state_dict", "model", "module")


@dataclass(frozen=True)
class Contents:
    """Tensors under the names of the file, and whether the file is TorchScript."""

    tensors: dict[str, Tensor]
    is_script: bool = False


def read_contents(path: Path) -> Contents:
    """The tensors of one file, whatever its kind; BadWeights says what is wrong with it."""
    kind = _kind(path)
    if kind == "safetensors":
        return Contents(_read_safetensors(path))
    if kind == "index":
        return Contents(_read_shards(path))
    if kind == "zip" and _is_script(path):
        return Contents(_not_shared(read_script_archive(path), path), is_script=True)
    return Contents(_not_shared(tensors_of(_torch_load(path), path), path))


def weights_file(folder: Path) -> Path:
    """The file of a folder to read: safetensors before pickles, a whole CLIP before a tower."""
    for name in FOLDER_FILES:
        if (folder / name).is_file():
            return folder / name
    raise BadWeights(
        f"{folder} holds no weights; one of these is needed: {', '.join(FOLDER_FILES)}"
    )


def tensors_of(loaded: object, origin: object) -> dict[str, Tensor]:
    """The tensors of a state dict, taken out of the wrappers that training scripts put around."""
    while isinstance(loaded, Mapping):
        inner = [loaded[key] for key in _WRAPPERS if isinstance(loaded.get(key), Mapping)]
        if not inner:
            break
        loaded = inner[0]
    tensors = dict(loaded) if isinstance(loaded, Mapping) else {}
    tensors = {str(name): value for name, value in tensors.items() if isinstance(value, Tensor)}
    if not tensors:
        raise BadWeights(f"{origin} holds no tensors; a state dict of a CLIP model is needed")
    return tensors


def _kind(path: Path) -> str:
    """safetensors, index, zip or pickle, by the first bytes; BadWeights where it is none."""
    try:
        check_regular(path)
    except FileNotFoundError as reason:
        raise BadWeights(
            f"{path} does not exist; give a file or folder of CLIP weights"
        ) from reason
    except OSError as reason:
        raise BadWeights(f"{path} cannot be read: {reason.strerror}") from reason
    with path.open("rb") as file:
        head = file.read(512)
    for start, what in _NO_WEIGHTS:
        if head.lower().lstrip().startswith(start):
            raise BadWeights(f"{path} {what}")
    if path.name.endswith(".index.json"):
        return "index"
    if head[8:9] == b"{":
        return "safetensors"
    kinds = {b"PK": "zip", b"\x80": "pickle"}
    found = [kind for start, kind in kinds.items() if head.startswith(start)]
    if not found:
        what = (
            "is not a file of weights: safetensors, .pt and .bin are read" if head else "is empty"
        )
        raise BadWeights(f"{path} {what}; download it again")
    return found[0]


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        source = TensorsOnDisk(path)
        return {name: source[name] for name in source}
    except (SafetensorError, OSError, ValueError) as reason:
        raise BadWeights(f"{path} is damaged or cut off: {reason}") from reason


def _read_shards(index: Path) -> dict[str, Tensor]:
    """The tensors of all shards that an index lists; every one of them must be there."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not places:
        raise BadWeights(f"{index} lists no shards: it has no `weight_map`")
    shards = sorted({str(name) for name in places.values()})
    outside = [name for name in shards if Path(name).name != name]
    absent = [name for name in shards if not (index.parent / name).is_file()]
    if outside or absent:
        what = f"names a shard elsewhere: {outside[0]}" if outside else f"lacks {', '.join(absent)}"
        raise BadWeights(f"{index} {what}; {len(shards)} shards must lie beside it")
    tensors: dict[str, Tensor] = {}
    for name in shards:
        tensors |= read_contents(index.parent / name).tensors
    lost = sorted(set(places) - set(tensors))
    if lost:
        raise BadWeights(f"the shards of {index} lack {len(lost)} tensors, such as {lost[0]}")
    return tensors


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file."""
    try:
        content = read_untrusted_json(path, follow=True)
    except (OSError, ValueError) as reason:
        raise BadWeights(f"{path} cannot be read as JSON: {reason}") from reason
    if not isinstance(content, dict):
        raise BadWeights(f"{path} holds no JSON object")
    return content


def _is_script(path: Path) -> bool:
    """Whether a zip is TorchScript; its checksums are tested, for torch does not look at them."""
    try:
        with zipfile.ZipFile(path) as archive:
            _check_size(archive, path)
            wrong = archive.testzip()
            is_script = any(name.endswith("/constants.pkl") for name in archive.namelist())
    except BadWeights:
        raise
    except Exception as reason:  # zipfile, zlib and codecs each have errors of their own
        raise BadWeights(f"{path} is damaged or cut off: {reason}") from reason
    if wrong:
        raise BadWeights(f"{path} is damaged: {wrong} in it differs from its checksum")
    return is_script


def _check_size(archive: zipfile.ZipFile, path: Path) -> None:
    """BadWeights for an archive that says it holds more than its file does: a bomb."""
    held = sum(entry.file_size for entry in archive.infolist())
    most = path.stat().st_size + MOST_COMPRESSED_BYTES
    if held > most:
        raise BadWeights(
            f"{path} unpacks to {held:,} bytes, and weights of its size to at most {most:,}: "
            "it is not an archive that PyTorch writes"
        )


def _not_shared(tensors: dict[str, Tensor], path: Path) -> dict[str, Tensor]:
    """The tensors; BadWeights where they repeat the numbers of the file to fill the memory."""
    size = sum(tensor.numel() * tensor.element_size() for tensor in tensors.values())
    most = MOST_SHARING * path.stat().st_size
    if size > most:
        raise BadWeights(
            f"{path} has {path.stat().st_size:,} bytes, and its tensors claim {size:,}: they "
            "repeat what the file holds, as no model's do"
        )
    return tensors


def _torch_load(path: Path) -> object:
    try:
        with warnings.catch_warnings(action="ignore"):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as reason:
        if zipfile.is_zipfile(path):
            return read_pickled_archive(path)
        raise BadWeights(
            f"{path} is damaged, or holds Python objects, which are never loaded; "
            f"save its state dict, as safetensors if you can"
        ) from reason
    except Exception as reason:  # what a damaged file raises is anyone's guess
        first_line = str(reason).split("\n")[0]
        raise BadWeights(f"{path} is damaged or cut off: {first_line}") from reason
