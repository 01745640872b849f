"""tempme's models in mteb: `mteb.evaluate(tempme.mteb.encoder("runs/a/retriever"), tasks)`.

It needs mteb (`pip install 'tempme[mteb]'`), and mteb needs torchcodec to decode the videos of its
data sets. Frames of a video are evenly spread; those that are not square become as the model
learnt with (`System.fit`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from tempme.errors import BadSetting, MissingExtra
from tempme.exporting.given_videos import pixels_of
from tempme.retriever.retriever import Retriever

try:
    from mteb.models.abs_encoder import AbsEncoder
    from mteb.models.model_meta import ModelMeta, ScoringFunction
except ImportError as missing:
    raise MissingExtra("this needs mteb: pip install 'tempme[mteb]'") from missing

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mteb.abstasks.task_metadata import TaskMetadata
    from mteb.types import PromptType
    from torch.utils.data import DataLoader

MEGABYTE = 2**20


class VideoTextEncoder(AbsEncoder):
    """Texts and videos of mteb's tasks -> unit features.

    A task whose items have both gets the mean of the two, made unit length.
    """

    def __init__(
        self, model_name: str, revision: str | None = None, device: str | None = None, **_: Any
    ) -> None:
        place = device or ("cuda" if torch.cuda.is_available() else "cpu")
        source: Retriever = Retriever.load(model_name).for_inference("fp32")
        self.model: Retriever = source.to(place)
        self.mteb_model_meta = meta(self.model, name=model_name, revision=revision)

    @torch.inference_mode()
    def encode(
        self,
        inputs: DataLoader[Any],
        *,
        task_metadata: TaskMetadata,  # noqa: ARG002
        hf_split: str,  # noqa: ARG002
        hf_subset: str,  # noqa: ARG002
        prompt_type: PromptType | None = None,  # noqa: ARG002
        **_: Any,
    ) -> np.ndarray[Any, np.dtype[np.float32]]:
        """(N, D) features of all inputs, in order."""
        inputs.collate_fn = self._collated
        parts = [self._encoded(batch) for batch in inputs]
        if not parts:
            return np.empty((0, self.model.feature_size), np.float32)
        return np.concatenate(parts)

    def _collated(self, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Pixels of few frames leave the loader, whole videos do not."""
        found: dict[str, Any] = {}
        if rows[0].get("text") is not None:
            found["text"] = [str(row["text"]) for row in rows]
        if rows[0].get("video") is not None:
            found["video"] = np.stack([pixels_of(row["video"], self.model) for row in rows])
        if not found:
            raise BadSetting(
                f"a task with {', '.join(rows[0])}: this model takes columns text and video"
            )
        return found

    def _encoded(self, batch: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[np.float32]]:
        made = []
        if "text" in batch:
            made.append(self.model.encode_texts(batch["text"]))
        if "video" in batch:
            made.append(self.model.encode_videos(self.model.transform(batch["video"])))
        mean = torch.stack(made).mean(dim=0)
        return np.asarray(torch.nn.functional.normalize(mean, dim=-1).float().cpu())


def encoder(model: str | Path, *, device: str | None = None) -> VideoTextEncoder:
    """A model, named as for `tempme.load`, that `mteb.evaluate` takes."""
    return VideoTextEncoder(str(model), device=device)


def meta(retriever: Retriever, *, name: str, revision: str | None = None) -> ModelMeta:
    """What mteb's tables say of a model."""
    numbers = sum(value.numel() for value in retriever.parameters())
    loader: Any = VideoTextEncoder  # which answers arrays, and is never asked for predictions
    return ModelMeta(
        loader=loader,
        name=name if name.count("/") == 1 else f"tempme/{Path(name).name}",
        revision=revision or retriever.fingerprint,
        release_date=None,
        languages=["eng-Latn"],
        n_parameters=numbers,
        memory_usage_mb=4 * numbers / MEGABYTE,
        max_tokens=retriever.system.max_words,
        embed_dim=retriever.feature_size,
        license=None,
        open_weights=True,
        public_training_code=None,
        public_training_data=None,
        framework=["PyTorch"],
        similarity_fn_name=ScoringFunction.COSINE,
        use_instructions=False,
        training_datasets=None,
        modalities=["text", "video"],
    )
