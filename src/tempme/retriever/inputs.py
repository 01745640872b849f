"""Videos as a person has them, files or pixels, as the frames that an encoder takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from torch import Tensor

from tempme.backbones.sizes import Sizes
from tempme.backbones.vocabularies import AnyTokenizer
from tempme.errors import BadSetting, BadWeights
from tempme.video import Fit, read_video

Videos: TypeAlias = "Tensor | np.ndarray | Sequence[str | Path | np.ndarray]"
KINDS = (
    "paths of video files, uint8 arrays (F, H, W, 3), one uint8 array (V, F, H, W, 3), or a float "
    "tensor (V, F, 3, H, W) from retriever.transform"
)


def frames_of(videos: Videos, *, frames: int, size: int, fit: Fit = "crop") -> Tensor | np.ndarray:
    """A tensor from `transform` as it is; anything else as uint8 pixels (V, F, S, S, 3).

    Files are read as `read_video` reads them; pixels are to be of the model's size already.
    BadSetting for what is neither, BadVideo for a file that cannot be read.
    """
    if isinstance(videos, Tensor | np.ndarray):
        return videos
    if isinstance(videos, str | Path) or not isinstance(videos, Sequence):
        raise BadSetting(f"encode_videos takes a list of {KINDS}, not {_told(videos)}")
    if not videos:
        return np.empty((0, frames, size, size, 3), dtype=np.uint8)
    return np.stack([_pixels(video, frames=frames, size=size, fit=fit) for video in videos])


def check_pixels(pixels: object) -> np.ndarray | Tensor:
    """The pixels, if they are whole numbers (..., H, W, 3); else BadSetting says what they are."""
    if not isinstance(pixels, np.ndarray | Tensor):
        raise BadSetting(f"pixels are a uint8 array or tensor (..., H, W, 3), not {_told(pixels)}")
    if pixels.ndim < 3 or pixels.shape[-1] != 3:
        raise BadSetting(f"pixels are {tuple(pixels.shape)}; they are (..., H, W, 3)")
    if not _is_whole(pixels):
        raise BadSetting(
            f"pixels are {pixels.dtype}; they are uint8 from 0 to 255. Where yours are from 0 to "
            f"1, give (255 * pixels).round() as uint8"
        )
    return pixels


def normalised(pixels: np.ndarray | Tensor, config: Sizes, device: torch.device) -> Tensor:
    """uint8 (..., H, W, 3) -> (..., 3, H, W) on the scale that a backbone was trained with."""
    whole = torch.as_tensor(check_pixels(pixels))
    if device.type == "cuda" and whole.device.type == "cpu":
        whole = whole.pin_memory().to(device, non_blocking=True)  # the CPU goes on meanwhile
    x = whole.to(device).movedim(-1, -3).float() / 255
    mean, std = (torch.tensor(v, device=x.device)[:, None, None] for v in (config.mean, config.std))
    return (x - mean) / std


def ids_of(
    texts: Sequence[str] | Tensor, tokenizer: AnyTokenizer, config: Sizes, *, words: int
) -> Tensor:
    """Ids (T, W) as they are; texts as those of the tokenizer, W that of the longest.

    BadSetting for what is neither, BadWeights where the tokenizer is not of the text encoder.
    """
    if isinstance(texts, Tensor):
        return texts
    given = _checked_texts(texts)
    if len(given) and tokenizer.vocab > config.vocab:  # the end of a text is the last id
        raise BadWeights(
            f"the tokenizer knows {tokenizer.vocab} ids, the text encoder {config.vocab}: they are "
            f"not of one model"
        )
    ids, mask = tokenizer(given, max_words=words)
    return ids[:, : int(mask.sum(dim=1).max()) if len(given) else 0]  # words only see back


def _checked_texts(texts: object) -> Sequence[str]:
    if isinstance(texts, str):
        raise BadSetting("encode_texts takes a list of texts; put the one text into a list")
    if not isinstance(texts, Sequence):
        raise BadSetting(
            f"encode_texts takes a list of texts, or ids (T, W), not {type(texts).__name__}"
        )
    return texts


def check_transformed(frames: Tensor, leading: tuple[str, ...], *, size: int) -> None:
    """BadSetting unless frames are (*leading, 3, size, size), as `transform` makes them."""
    if frames.ndim != len(leading) + 3 or tuple(frames.shape[-3:]) != (3, size, size):
        raise BadSetting(
            f"frames are {tuple(frames.shape)}; this model takes ({', '.join(leading)}, 3, {size}, "
            f"{size}) from retriever.transform, whose input has the channels last"
        )


def _pixels(video: object, *, frames: int, size: int, fit: Fit) -> np.ndarray:
    if isinstance(video, str | Path):
        return read_video(video, frames=frames, size=size, fit=fit)
    if isinstance(video, np.ndarray | Tensor) and video.shape == (frames, size, size, 3):
        return np.asarray(check_pixels(video))
    raise BadSetting(
        f"a video is a path or uint8 pixels ({frames}, {size}, {size}, 3) for this model, not "
        f"{_told(video)}; tempme.read_video makes such pixels of a file"
    )


def _is_whole(pixels: np.ndarray | Tensor) -> bool:
    if isinstance(pixels, Tensor):
        return pixels.dtype == torch.uint8 or not (
            pixels.is_floating_point() or pixels.is_complex() or pixels.dtype == torch.bool
        )
    return pixels.dtype.kind in "iu"


def _told(value: object) -> str:
    """What a value is, for a person."""
    shape = getattr(value, "shape", None)
    return type(value).__name__ if shape is None else f"{type(value).__name__} {tuple(shape)}"
