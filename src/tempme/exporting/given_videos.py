"""Videos as other libraries hand them over, as the square frames that a model sees."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tempme.datasets.pairs import VIDEO_SUFFIXES
from tempme.errors import BadSetting
from tempme.retriever.retriever import Retriever
from tempme.video import read_video, uniform_indices
from tempme.video.transforms import square_of_image
from tempme.video.values import Pixels

KINDS = (
    "a path, a uint8 array (frames, height, width, 3) or (frames, 3, height, width), a list of "
    "pictures, or a decoder of torchcodec"
)


def is_video_file(text: str) -> bool:
    """Whether a text is the path of a file that is named like a video."""
    is_named_so = Path(text).suffix.lower() in VIDEO_SUFFIXES
    return is_named_so and os.path.isfile(text)  # noqa: PTH113


def pixels_of(video: Any, retriever: Retriever) -> Pixels:
    """uint8 (F, S, S, 3) of one video: F frames evenly spread over what is given.

    BadVideo for a file that cannot be read, BadSetting for what is no video.
    """
    frames, size, fit = retriever.num_frames, retriever.image_size, retriever.system.fit
    if isinstance(video, dict) and "array" in video:
        video = video["array"]
    if isinstance(video, str | Path):
        return read_video(video, frames=frames, size=size, fit=fit)
    pictures = _pictures(video, frames)
    return np.stack([square_of_image(_image(one), size, fit=fit) for one in pictures])


def _pictures(video: Any, frames: int) -> Sequence[Any]:
    if callable(take := getattr(video, "get_frames_at", None)):  # torchcodec, which may be absent
        return list(take(list(_spread(video.metadata.num_frames, frames))).data)
    if isinstance(video, list | tuple):
        return [video[i] for i in _spread(len(video), frames)]
    array = np.asarray(video.cpu() if callable(getattr(video, "cpu", None)) else video)
    if array.ndim != 4 or array.dtype != np.uint8 or 3 not in (array.shape[1], array.shape[3]):
        raise BadSetting(
            f"a video is {KINDS}; this is {type(video).__name__} {array.shape} of {array.dtype}"
        )
    return [array[i] for i in _spread(len(array), frames)]


def _spread(count: int, frames: int) -> tuple[int, ...]:
    if count < 1:
        raise BadSetting(f"a video without frames; it is {KINDS}")
    return uniform_indices(count, 1.0, frames=frames)


def _image(picture: Any) -> Image.Image:
    if isinstance(picture, Image.Image):
        return picture.convert("RGB")
    array = np.asarray(picture.cpu() if callable(getattr(picture, "cpu", None)) else picture)
    if array.ndim == 3 and array.shape[-1] != 3 and array.shape[0] == 3:
        array = array.transpose(1, 2, 0)
    if array.ndim != 3 or array.shape[-1] != 3 or array.dtype != np.uint8:
        raise BadSetting(
            f"a picture of a video is uint8 (height, width, 3) or (3, height, width), or one of "
            f"Pillow; this is {array.shape} of {array.dtype}"
        )
    return Image.fromarray(np.ascontiguousarray(array))
