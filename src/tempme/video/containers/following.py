"""Whether a second file was written behind the first: its demuxer stops before it, players too."""

from __future__ import annotations

import mmap
from pathlib import Path

from tempme.video.containers.boxes import outermost
from tempme.video.containers.endings import ASF, asf_size

FLV = b"FLV\x01"
NUT = b"nut/multimedia container\0"
# Other streams may go on a little after the last frame.
NEAR = 2**18
NOTE = "another recording follows in the file: players do not show it, it is not used"


def following(path: Path, end: int) -> str:
    """What a note says where the file goes on with another one; `end` is that of the last frame."""
    with path.open("rb") as file:
        head = file.read(len(NUT))
        if head.startswith(FLV) and end:
            file.seek(end)
            return NOTE if FLV in file.read(NEAR) else ""
        if head.startswith(ASF):
            file.seek(asf_size(file))
            return NOTE if file.tell() and file.read(len(ASF)) == ASF else ""
        if head == NUT:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                return NOTE if content.find(NUT, len(NUT)) > 0 else ""
        if head[4:8] == b"ftyp":
            heads = outermost(file, path.stat().st_size, wanted=(b"ftyp",))
            return NOTE if sum(1 for _ in heads) > 1 else ""
    return ""
