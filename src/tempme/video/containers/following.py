"""Whether a second file was written behind the first: its demuxer stops before it, players too."""

from __future__ import annotations

from pathlib import Path

from tempme.video.containers.boxes import outermost
from tempme.video.containers.content import Content
from tempme.video.containers.endings import ASF, SWF, asf_size
from tempme.video.containers.marks import FLV, NUT

# Other streams may go on a little after the last frame.
NEAR = 2**18
# What a file of a kind begins with, and what is nowhere else in it.
STARTS = (
    NUT,
    b"DKIF\0\0",  # IVF
    b"YUV4MPEG2 ",
    b"\x89PNG\r\n\x1a\n",
    bytes.fromhex("b7d800203749da11a64e0007e95ead8d"),  # WTV
)
NOTE = "another recording follows in the file: players do not show it, it is not used"


def following(path: Path, last: int, end: int) -> str:
    """What a note says where the file goes on with another one.

    `last` is where the last frame begins, `end` where it ends.
    """
    with path.open("rb") as file:
        content = Content(file)
        return NOTE if _is_followed(content, last, end) or _has_boxes_twice(path) else ""


def _is_followed(content: Content, last: int, end: int) -> bool:
    head = content[: len(NUT)]
    if head.startswith(FLV):
        return bool(end) and FLV in content[end : end + NEAR]
    if head.startswith((ASF, SWF)):
        place = asf_size(content) if head.startswith(ASF) else int.from_bytes(head[4:8], "little")
        start = ASF if head.startswith(ASF) else SWF
        return place > 0 and content[place : place + len(start)] == start
    for start in STARTS:
        if head.startswith(start):
            place = content.rfind(start)
            # Some demuxers do read the second one, and some take all of it for a frame.
            return place > 0 and last < (place + len(content)) // 2
    return False


def _has_boxes_twice(path: Path) -> bool:
    with path.open("rb") as file:
        if file.read(8)[4:] != b"ftyp":
            return False
        heads = outermost(file, path.stat().st_size, wanted=(b"ftyp",))
        return sum(1 for _ in heads) > 1
