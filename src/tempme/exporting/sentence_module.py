"""The module that encodes texts and videos within a SentenceTransformer.

It needs sentence-transformers, which calls it: `preprocess` makes features of inputs, in worker
processes of a trainer maybe; `forward` makes embeddings of features, on the device of the model.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sentence_transformers.base.modules import InputModule
from torch import Tensor

from tempme.errors import BadSetting
from tempme.exporting.given_videos import is_video_file, pixels_of
from tempme.exporting.sentence_transformers import RETRIEVER, write_sentence_transformers
from tempme.retriever.checkpoint import load_folder
from tempme.retriever.retriever import Retriever

TEXT, VIDEO = "text", "video"


class VideoTextModule(InputModule):
    """Texts and videos -> unit features in one space.

    A video is `{"video": x}`, where x is what `given_videos.KINDS` says, or such an x itself; a
    text that is the path of a video file is that video. All inputs of a call are of one kind.
    """

    def __init__(self, retriever: Retriever) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.retriever = retriever

    @property
    def modalities(self) -> list[Any]:
        """What can be encoded."""
        return [TEXT, VIDEO]

    @property
    def max_seq_length(self) -> int:
        """Words of a text that are read."""
        return self.retriever.system.max_words

    def get_embedding_dimension(self) -> int:
        """Numbers in an embedding."""
        return self.retriever.feature_size

    def preprocess(
        self, inputs: Sequence[Any], prompt: str | None = None, **_: Any
    ) -> dict[str, Any]:
        """Ids of texts, or pixels of videos; `prompt` goes before every text."""
        kinds, values = zip(*map(_kind, inputs), strict=True)
        if len(set(kinds)) > 1:
            raise BadSetting("texts and videos in one call: encode each in a call of its own")
        if kinds[0] == VIDEO:
            pixels = np.stack([pixels_of(video, self.retriever) for video in values])
            return {"modality": VIDEO, "pixel_values": torch.from_numpy(pixels)}
        texts = [f"{prompt or ''}{text}" for text in values]
        ids, mask = self.retriever.tokenizer(texts, max_words=self.max_seq_length)
        width = int(mask.sum(dim=1).max())
        return {
            "modality": TEXT,
            "input_ids": ids[:, :width],
            "attention_mask": mask[:, :width],
        }

    def forward(self, features: dict[str, Any], **_: Any) -> dict[str, Any]:
        """Features with `sentence_embedding` (N, D) beside them."""
        if features["modality"] == VIDEO:
            pixels: Tensor = features["pixel_values"]
            made = self.retriever.encode_videos(self.retriever.transform(pixels))
        else:
            made = self.retriever.encode_texts(features["input_ids"])
        return features | {"sentence_embedding": made}

    def save(self, output_path: str, *_: Any, **__: Any) -> None:
        """Write what `load` reads."""
        write_sentence_transformers(self.retriever.parts, Path(output_path))

    @classmethod
    def load(
        cls,
        model_name_or_path: str,
        subfolder: str = "",
        token: bool | str | None = None,
        cache_folder: str | None = None,
        revision: str | None = None,
        local_files_only: bool = False,
        init_defaults: dict[str, Any] | None = None,  # noqa: ARG003
        **_: Any,
    ) -> VideoTextModule:
        """The module of a folder, or of a repository of a hub."""
        place = f"{subfolder}/{RETRIEVER}" if subfolder else RETRIEVER
        folder = cls.load_dir_path(
            model_name_or_path,
            subfolder=place,
            token=token,
            cache_folder=cache_folder,
            revision=revision,
            local_files_only=local_files_only,
        )
        if folder is None:
            raise BadSetting(f"{model_name_or_path} has no folder {place}: export it again")
        return cls(Retriever(load_folder(Path(folder))).eval())


def _kind(given: Any) -> tuple[str, Any]:
    """Text or video, and the value of it."""
    if isinstance(given, str):
        return (VIDEO if is_video_file(given) else TEXT), given
    if isinstance(given, dict) and given.keys() in ({TEXT}, {VIDEO}):
        ((kind, value),) = given.items()
        if kind == TEXT and not isinstance(value, str):
            raise BadSetting(f"a text must be a string, not {type(value).__name__}")
        return kind, value
    if isinstance(given, dict) and not {"array", "video_metadata"} <= given.keys():
        raise BadSetting(
            f"an input with {', '.join(map(str, given))}: this model takes text or video, one of "
            f"them in each"
        )
    return VIDEO, given
