"""Questions with a known answer, asked before any number is believed.

A transposed matrix, shuffled rows, frames in the wrong order or swapped colours cost no error: they
cost accuracy. Scenes are drawn here, so every right answer is known. None of the checks asks for a
good model: weights at random pass.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from tempme.datasets.frames import read_moment
from tempme.datasets.pairs import Moment
from tempme.errors import WrongAnswer
from tempme.evaluation.metrics import both_directions
from tempme.scenes import Scene, clip, scenes, write_video
from tempme.video import Failure, Reading

if TYPE_CHECKING:
    from tempme.retriever.retriever import Retriever

# Mean difference of pixels (0 to 255) that encoding to H.264 may leave; swapped colours leave more.
CODEC_ERROR = 12.0


@dataclass(frozen=True)
class KnownAnswers:
    """The checks that passed."""

    checks: tuple[str, ...]
    seconds: float


@dataclass(frozen=True)
class Material:
    """Scenes with their frames and features, made once for all checks."""

    retriever: Retriever
    scenes: tuple[Scene, ...]
    pixels: NDArray[np.uint8]
    features: Tensor

    def encode(self, pixels: NDArray[np.uint8]) -> Tensor:
        """(V, F, S, S, 3) pixels -> features on the CPU."""
        return self.retriever.encode_videos(self.retriever.transform(pixels)).float().cpu()


@torch.inference_mode()
def ask_known_answers(retriever: Retriever, *, num_scenes: int = 3) -> KnownAnswers:
    """Ask everything in `CHECKS`; raise WrongAnswer with the first wrong answer."""
    start = time.perf_counter()
    acts = scenes(num_scenes, part="static", split="test")
    drawn = [clip(act, retriever.num_frames, size=retriever.image_size) for act in acts]
    pixels = np.stack(drawn)
    material = Material(retriever, acts, pixels, torch.empty(0))
    material = Material(retriever, acts, pixels, material.encode(pixels))
    for name, check in CHECKS.items():
        wrong = check(material)
        if wrong:
            raise WrongAnswer(f"the model answers a known question wrongly, {name!r}: {wrong}")
    return KnownAnswers(tuple(CHECKS), round(time.perf_counter() - start, 3))


def _channels(material: Material) -> str:
    """Red pixels move the first channel, and the channels come before height and width."""
    size = material.retriever.image_size
    colours = np.zeros((4, size, size, 3), np.uint8)
    for channel in range(3):
        colours[channel + 1, ..., channel] = 255
    made = material.retriever.transform(colours).float().cpu()
    if tuple(made.shape) != (4, 3, size, size):
        return f"transform made {tuple(made.shape)} of (4, {size}, {size}, 3)"
    moved = (made[1:] - made[:1]).mean(dim=(2, 3)) > 0
    if not torch.equal(moved, torch.eye(3, dtype=torch.bool)):
        return "transform swaps the colours: red does not move the first channel alone"
    return ""


def _unit(material: Material) -> str:
    """Features are one row per video, finite, of length one."""
    features = material.features
    if features.shape != (len(material.scenes), material.retriever.feature_size):
        return f"{len(material.scenes)} videos gave features {tuple(features.shape)}"
    lengths = features.norm(dim=-1)
    if not torch.isfinite(features).all() or (lengths - 1).abs().max() > 1e-2:
        return f"lengths of video features are {lengths.tolist()}, not 1"
    return ""


def _identity(material: Material) -> str:
    """Every video finds itself, and no other comes as near."""
    matrix = _nearness(material.features, material.features)
    both = both_directions(matrix, ties="pessimistic")
    if both.t2v.r1 < 100 or both.v2t.r1 < 100:
        return "different videos have equal features: the model has collapsed, or ignores its input"
    return ""


def _alone(material: Material) -> str:
    """A video encoded alone has the features that it has in a batch."""
    alone = torch.cat([material.encode(one[None]) for one in material.pixels])
    return _differ(material.features, alone, "encoded alone and in a batch")


def _permuted(material: Material) -> str:
    """Videos in another order give the features in that order."""
    turned = material.encode(material.pixels[::-1].copy()).flip(0)
    return _differ(material.features, turned, "encoded in two orders")


def _texts(material: Material) -> str:
    """Texts in another order, or alone, give the same features, whatever the padding."""
    texts = [scene.captions[0] for scene in material.scenes]
    texts.append(f"{texts[0]}, {texts[-1]}")
    encode = material.retriever.encode_texts
    together = encode(texts).float().cpu()
    turned = encode(texts[::-1]).float().cpu().flip(0)
    alone = torch.cat([encode([text]).float().cpu() for text in texts])
    return _differ(together, turned, "of texts encoded in two orders") or _differ(
        together, alone, "of texts encoded alone and in a batch"
    )


def _files(material: Material) -> str:
    """A scene written to a file and read again: the same frames in the same order and colours."""
    read = _written_and_read(material)
    if isinstance(read, Failure):
        return f"a scene just written could not be read: {read.reason}"
    ours = _pixel_error(read, material.pixels)
    others = {
        "in reversed order": _pixel_error(read, material.pixels[:, ::-1]),
        "with red and blue swapped": _pixel_error(read, material.pixels[..., ::-1]),
        "mirrored": _pixel_error(read, material.pixels[..., ::-1, :]),
        "on their side": _pixel_error(read, material.pixels.swapaxes(2, 3)),
    }
    nearest = min(others, key=others.__getitem__)
    if ours > CODEC_ERROR or ours > others[nearest]:
        return (
            f"frames read from a file are {ours:.1f} off; {nearest} they are {others[nearest]:.1f}"
        )
    both = both_directions(_nearness(material.encode(read), material.features), ties="pessimistic")
    if both.t2v.r1 < 100 or both.v2t.r1 < 100:
        return "videos read from files do not find the same videos drawn in memory"
    return ""


CHECKS: dict[str, Callable[[Material], str]] = {
    "channels": _channels,
    "unit length": _unit,
    "identity": _identity,
    "alone or in a batch": _alone,
    "order of videos": _permuted,
    "order of texts": _texts,
    "from file to feature": _files,
}


def _written_and_read(material: Material) -> NDArray[np.uint8] | Failure:
    """The scenes by way of files, at the times at which they are drawn."""
    frames, size = material.retriever.num_frames, material.retriever.image_size
    read = []
    with tempfile.TemporaryDirectory() as folder:
        for number, scene in enumerate(material.scenes):
            path = Path(folder) / f"{number}.mp4"
            # Frames at even distances from the first to the last: every one asked for is there.
            write_video(scene, path, size=size + size % 2, fps=12)
            answer = read_moment(path, Moment(str(path)), Reading(frames=frames, size=size))
            if isinstance(answer, Failure):
                return answer
            read.append(answer.pixels)
    return np.stack(read)


def _pixel_error(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
    return float(np.abs(first.astype(np.int16) - second).mean())


def _nearness(first: Tensor, second: Tensor) -> NDArray[np.float32]:
    """Minus the distances: what features share says nothing about which is which."""
    return np.asarray(-torch.cdist(first, second), dtype=np.float32)


def _differ(first: Tensor, second: Tensor, how: str) -> str:
    """A sentence if equal things are further apart than half the way to another thing."""
    if first.shape != second.shape:
        return f"features {how} are {tuple(first.shape)} and {tuple(second.shape)}"
    distances = torch.cdist(first, first)
    nearest = distances[~torch.eye(len(first), dtype=torch.bool)]
    gap = nearest.min().item() if len(first) > 1 else 1.0
    error = (first - second).norm(dim=-1).max().item()
    if error > max(gap / 2, 1e-4):
        return f"features {how} are {error:.2g} apart, and those of different ones {gap:.2g}"
    return ""
