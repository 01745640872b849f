"""The layouts that a model can be written in: a literal table, so that it can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tempme.errors import BadSetting, UnknownName
from tempme.exporting.engines import (
    write_onnx_folder,
    write_openvino_folder,
    write_torch_folder,
)
from tempme.exporting.openai import write_openai
from tempme.exporting.sentence_transformers import write_sentence_transformers
from tempme.exporting.transformers import write_transformers
from tempme.retriever.parts import Parts


class ExportFormat(NamedTuple):
    """What writes a folder and answers the names of its files, and how the folder is read."""

    write: Callable[[Parts, Path, str], tuple[str, ...]]
    read_by: str


def _in_fp32(write: Callable[[Parts, Path], tuple[str, ...]]) -> Callable[..., tuple[str, ...]]:
    """A writer of weights as they are; BadSetting for another precision."""

    def written(parts: Parts, folder: Path, precision: str) -> tuple[str, ...]:
        if precision != "fp32":
            raise BadSetting(
                f"precision is {precision!r}, but this format holds weights as they are: leave it "
                f"out ({', '.join(ENGINE_FORMATS)} takes others)"
            )
        return write(parts, folder)

    return written


ENGINE_FORMATS = ("onnx",)
FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        "openai": ExportFormat(
            _in_fp32(write_openai), "weights={folder}, or clip.load's state dict"
        ),
        "transformers": ExportFormat(
            _in_fp32(write_transformers), "CLIPModel.from_pretrained({folder}), or weights={folder}"
        ),
        "sentence-transformers": ExportFormat(
            _in_fp32(write_sentence_transformers),
            "SentenceTransformer({folder}, trust_remote_code=True)",
        ),
        "onnx": ExportFormat(write_onnx_folder, "onnxruntime, or tempme.load({folder})"),
        "openvino": ExportFormat(write_openvino_folder, "openvino, or tempme.load({folder})"),
        "torch": ExportFormat(write_torch_folder, "torch.export.load, or tempme.load({folder})"),
    }
)


def export(parts: Parts, form: str, folder: Path, *, precision: str = "fp32") -> tuple[str, ...]:
    """Write a model in a format of `FORMATS` into a folder that holds nothing else; its files.

    BadSetting where the format cannot hold the model, or files of another kind are in the way.
    """
    if form not in FORMATS:
        raise UnknownName.among("format", form, FORMATS)
    if folder.exists() and not folder.is_dir():
        raise BadSetting(f"{folder} is a file; --out is a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise BadSetting(f"{folder} is not empty: give another folder, or empty this one")
    return FORMATS[form].write(parts, folder, precision)
