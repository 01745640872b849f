"""What of the files found is a video or a picture, by content and, where that is hurt, by name."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from tempme.index.building.ahead import ahead
from tempme.index.building.scan import File, Unseen
from tempme.index.building.suffixes import (
    TEXT_SUFFIXES,
    is_named_like_a_picture,
    is_named_like_a_video,
)

Kind: TypeAlias = Literal["video", "picture", "text", "other"]

HEAD_BYTES = 4096
# What text never has: control characters but for tabs, ends of lines and pages, and escapes.
NOT_IN_TEXT = frozenset(range(32)) - frozenset(b"\t\n\v\f\r\x1b") | {127}
UTF_16 = (b"\xff\xfe", b"\xfe\xff")
PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\x00", b"MM\x00*", b"BM", b"\xff\x0a")
# The brands of pictures in the container of MP4 (HEIC, AVIF), bytes 4 to 12 of a file.
PICTURE_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"avif")


@dataclass(frozen=True)
class Kept:
    """The files to index, why named ones are not among them, and what was passed over, by kind."""

    videos: tuple[File, ...]
    pictures: tuple[File, ...]
    unusable: tuple[Unseen, ...]
    skipped: Mapping[str, int]


def keep(files: Iterable[File], *, takes_picture: Callable[[File], bool]) -> Kept:
    """Sort files by what they are; of pictures not named, those that `takes_picture`.

    A file that is named like a video is one, however damaged, so that it ends in a row.
    """
    videos, pictures, unusable = [], [], []
    skipped: Counter[str] = Counter()
    for file, kind in ahead(_with_kind, files):
        if kind == "video":
            videos.append(file)
        elif kind == "picture" and (file.is_named or takes_picture(file)):
            pictures.append(file)
        elif file.is_named:
            unusable.append(Unseen(file.path, _why_unusable(file.path)))
        elif kind != "other":
            skipped[kind] += 1
    return Kept(tuple(videos), tuple(pictures), tuple(unusable), dict(skipped))


def kind_of(path: Path) -> Kind:
    """What the file is; a damaged or unreadable one is what its name promises."""
    from tempme.video import is_video

    if path.suffix.lower() == ".gif" and _is_still(path):
        return "picture"
    if is_named_like_a_video(path):
        is_text = path.suffix.lower() in TEXT_SUFFIXES and _is_text(_head(path))
        return "text" if is_text else "video"
    if is_video(path):
        return "video"
    return "picture" if is_named_like_a_picture(path) or _is_picture(_head(path)) else "other"


def _with_kind(file: File) -> tuple[File, Kind]:
    return file, kind_of(file.path)


def _is_still(path: Path) -> bool:
    """Whether a GIF is whole and shows one picture only; what is hurt is told as a video."""
    from PIL import Image

    try:
        with Image.open(path) as image:
            return not getattr(image, "is_animated", False)
    except Exception:  # a damaged head has many ways to say so
        return False


def _head(path: Path) -> bytes:
    """The first bytes; none where they cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(HEAD_BYTES)
    except OSError:
        return b""


def _is_text(head: bytes) -> bool:
    return bool(head) and (head.startswith(UTF_16) or NOT_IN_TEXT.isdisjoint(head))


def _is_picture(head: bytes) -> bool:
    if head[:4] == b"RIFF":
        return head[8:12] == b"WEBP"
    return head.startswith(PICTURES) or (head[4:8] == b"ftyp" and head[8:12] in PICTURE_BRANDS)


def _why_unusable(path: Path) -> str:
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        return (error.strerror or str(error)).lower()
    if not head:
        return "empty file"
    return (
        "text, neither a video nor a picture"
        if _is_text(head)
        else ("neither a video nor a picture, or damaged at its start")
    )
