"""Whether a file is a video, by its content."""

from __future__ import annotations

from pathlib import Path

from tempme.video.containers.packets import has_frames
from tempme.video.containers.source import Source, check_file
from tempme.video.values import Unreadable

# First bytes of pictures, archives, documents and sounds: most files of a folder end here.
NEVER_VIDEO = (
    b"\xff\xd8\xff",
    b"BM",
    b"II*\x00",
    b"MM\x00*",
    b"PK\x03\x04",
    b"%PDF",
    b"ID3",
    b"fLaC",
    b"\x1f\x8b",
    b"\x7fELF",
    b"8BPS",
    b"#!",
    b"<!DOCTYPE",
    b"<html",
    b"{",
)
PNG = b"\x89PNG\r\n\x1a\n"
# The chunk that makes a PNG an animation; it stands before the first picture.
ANIMATED = b"acTL"
HEAD_BYTES = 4096


def is_video(path: Path | str) -> bool:
    """Whether the content is a video: an animated GIF, PNG or AVIF is one, a picture is not.

    Cheap for everything else: most files are turned away by their first bytes, what remains is
    opened, never decoded. The name says nothing. A damaged video whose container cannot be opened
    is not told from rubbish by this; `probe` names the reason.
    """
    path = Path(path)
    try:
        check_file(path)
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
        if head.startswith(NEVER_VIDEO) or head[8:12] in (b"WAVE", b"WEBP"):
            return False
        if head.startswith(PNG) and ANIMATED not in head:
            return False
        with Source(path) as source:
            return not source.is_of_pictures or has_frames(source, 2)
    except (Unreadable, OSError):
        return False
