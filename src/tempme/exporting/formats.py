"""The layouts that a model can be written in: a literal table, so that it can be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from tempme.errors import BadSetting, UnknownName
from tempme.exporting.openai import write_openai
from tempme.exporting.sentence_transformers import write_sentence_transformers
from tempme.exporting.transformers import write_transformers
from tempme.retriever.parts import Parts


class ExportFormat(NamedTuple):
    """What writes a folder and answers the names of its files, and how the folder is read."""

    write: Callable[[Parts, Path], tuple[str, ...]]
    read_by: str


FORMATS: Mapping[str, ExportFormat] = MappingProxyType(
    {
        "openai": ExportFormat(write_openai, "weights={folder}, or clip.load's state dict"),
        "transformers": ExportFormat(
            write_transformers, "CLIPModel.from_pretrained({folder}), or weights={folder}"
        ),
        "sentence-transformers": ExportFormat(
            write_sentence_transformers, "SentenceTransformer({folder}, trust_remote_code=True)"
        ),
    }
)


def export(parts: Parts, form: str, folder: Path) -> tuple[str, ...]:
    """Write a model in a format of `FORMATS` into a folder that holds nothing else; its files.

    BadSetting where the format cannot hold the model, or files of another kind are in the way.
    """
    if form not in FORMATS:
        raise UnknownName.among("format", form, FORMATS)
    if folder.exists() and not folder.is_dir():
        raise BadSetting(f"{folder} is a file; --out is a folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise BadSetting(f"{folder} is not empty: give another folder, or empty this one")
    return FORMATS[form].write(parts, folder)
