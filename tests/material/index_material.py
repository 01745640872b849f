"""Videos and a model for the tests of the index: small, real, and with answers known beforehand."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import torch
from torch import Tensor

from tempme.index import Index

COLOURS = {
    "red": (220, 30, 30),
    "green": (30, 180, 40),
    "blue": (30, 50, 220),
    "yellow": (230, 220, 30),
    "white": (235, 235, 235),
    "black": (15, 15, 15),
}


def write_video(
    path: Path, colours: list[str], *, seconds: float = 2.0, fps: int = 4, codec: str = "mpeg4"
) -> Path:
    """A video that shows one colour after the other, `seconds` each."""
    with av.open(str(path), "w", format="mp4" if path.suffix != ".mkv" else None) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.width = stream.height = 64
        stream.pix_fmt = "yuv420p"
        stream.time_base = Fraction(1, fps)
        for place in range(int(len(colours) * seconds * fps)):
            colour = COLOURS[colours[int(place / (seconds * fps))]]
            pixels = np.full((64, 64, 3), colour, dtype=np.uint8)
            pixels[place % 48 : place % 48 + 16, :16] = 128  # something moves
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = place
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_films(folder: Path) -> Path:
    """Three videos, four windows in all; a file that is broken, and one that is not a video."""
    (folder / "more films").mkdir(parents=True)
    write_video(folder / "red.mp4", ["red"])
    write_video(folder / "green blue.mp4", ["green", "blue", "green"])
    write_video(folder / "more films" / "yellow \N{CLAPPER BOARD}.mkv", ["yellow", "white"])
    (folder / "bad.mp4").write_bytes(b"\0" * 5000)
    (folder / "notes.txt").write_text("not a film")
    return folder


class Renewed:
    """A folder that is made once; every test finds it at the same place, as it was made."""

    def __init__(self, folder: Path, make: Callable[[Path], object]) -> None:
        self.folder, self._kept = folder, folder.with_name(f"{folder.name} as made")
        folder.mkdir()
        make(folder)
        shutil.copytree(folder, self._kept)

    def again(self) -> Path:
        """With the times of its files, by which an index knows them."""
        shutil.rmtree(self.folder)
        shutil.copytree(self._kept, self.folder)
        return self.folder


class ColourRetriever:
    """Finds videos by colour: the feature is a soft histogram over the named colours.

    It does on real frames what a retriever does, exactly and without any weights.
    """

    num_frames = 4
    image_size = 32
    feature_size = 32
    origin = "colours"
    legacy_fingerprint = ""

    def __init__(self, name: str = "colours") -> None:
        self.fingerprint = f"{name}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
        generator = torch.Generator().manual_seed(0)
        mixed = torch.randn(self.feature_size, len(COLOURS), generator=generator)
        self._basis = torch.linalg.qr(mixed)[0].T  # (colours, D), orthonormal

    @property
    def fingerprints(self) -> tuple[str, str]:
        return self.fingerprint, self.legacy_fingerprint

    def transform(self, frames: np.ndarray | Tensor) -> Tensor:
        return torch.as_tensor(frames).movedim(-1, -3).float() / 255

    def encode_windows(self, frames: Tensor, windows: Tensor) -> Tensor:
        colours = torch.tensor(list(COLOURS.values())) / 255
        away = (frames[:, None] - colours[None, :, :, None, None]).square().sum(dim=2)
        shares = torch.softmax(-40 * away, dim=1).mean(dim=(2, 3))
        return self._unit(shares[windows].mean(dim=1))

    def encode_texts(self, texts: list[str]) -> Tensor:
        shares = torch.tensor([[float(name in text) for name in COLOURS] for text in texts])
        return self._unit(shares)

    def unread(self, text: str) -> str:
        return "" if any(name in text for name in COLOURS) else "no colour is named"

    def for_inference(self, *_: str | None) -> ColourRetriever:
        return self

    def save(self, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "colours.txt").write_text(" ".join(COLOURS))
        return folder

    def _unit(self, shares: Tensor) -> Tensor:
        return torch.nn.functional.normalize(shares @ self._basis, dim=-1)


def new_index(tmp_path: Path, retriever: ColourRetriever | None = None) -> Index:
    return Index.create(tmp_path / "films.tempme", retriever or ColourRetriever())


def index_films(folder: Path) -> None:
    """`films`, and an index of them."""
    new_index(folder).add(write_films(folder / "films"), workers=1)


def opened(folder: Path) -> Index:
    """What `new_index` made there."""
    return Index.open(folder / "films.tempme", retriever=ColourRetriever())
