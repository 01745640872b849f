"""Tar archives for tests: honest ones, and such as strangers make."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Mapping
from pathlib import Path


def member(name: str, size: int, **more: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size = size
    for key, value in more.items():
        setattr(info, key, value)
    return info


def write_tar(path: Path, files: Mapping[str, bytes | Path]) -> Path:
    """An archive of these files, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content.read_bytes() if isinstance(content, Path) else content
            archive.addfile(member(name, len(data)), io.BytesIO(data))
    return path


def with_negative_size(path: Path, video: bytes) -> Path:
    """The second header says that its file is smaller than nothing, and so leads back."""
    first = member("a.mp4", len(video)).tobuf(tarfile.USTAR_FORMAT)
    padded = video + bytes(-len(video) % 512)
    second = bytearray(member("b.mp4", 0).tobuf(tarfile.GNU_FORMAT))
    second[124:136] = b"\xff" * 8 + (-2048 & 0xFFFFFFFF).to_bytes(4, "big")
    second[148:156] = b" " * 8
    second[148:156] = b"%06o\0 " % sum(second)
    path.write_bytes(first + padded + bytes(second) + bytes(10240))
    return path
