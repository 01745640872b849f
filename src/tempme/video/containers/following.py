"""Whether a second file was written behind the first: its demuxer stops before it, players too."""

from __future__ import annotations

from pathlib import Path

from tempme.video.containers.boxes import outermost
from tempme.video.containers.content import Content
from tempme.video.containers.endings import ASF, asf_size
from tempme.video.containers.marks import FLV, NUT

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
            content = Content(file)
            place = asf_size(content)
            return NOTE if place and content[place : place + len(ASF)] == ASF else ""
        if head == NUT:
            return NOTE if Content(file).rfind(NUT) > 0 else ""
        if head[4:8] == b"ftyp":
            heads = outermost(file, path.stat().st_size, wanted=(b"ftyp",))
            return NOTE if sum(1 for _ in heads) > 1 else ""
    return ""
