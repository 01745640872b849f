"""Whether a file ends before its outermost parts do, read off its bytes without a demuxer.

FFmpeg lowers the stated duration of a cut AVI to what is there, and most demuxers hold no file to
its end. How long a file should be stands in it all the same, as a size, or as the mark of its end.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from tempme.video.containers.boxes import box_size
from tempme.video.containers.content import Content
from tempme.video.containers.marks import (
    EBML,
    FLV,
    HEAD_BYTES,
    KLV,
    MXF,
    NUT,
    OGG,
    is_flv_cut,
    is_matroska_cut,
    is_mxf_cut,
    is_nut_cut,
    is_ogg_cut,
)
from tempme.video.containers.transport import layout_of

# ASF (Advanced Systems Format, revision 01.20, 3.2).
ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_HEAD_BYTES = 2**16
IS_BROADCAST = 1
# MPEG program stream (ISO/IEC 13818-1, 2.5.3).
PACK = b"\0\0\1\xba"
PREFIX = PACK[:3]
# Codes of a start in a program stream: its end, the head of a pack, and from then on packets.
PROGRAM_END, PACK_HEAD, FIRST_PACKET = 0xB9, 0xBA, 0xBB
# Longer than any packet, whose length is a number of two bytes.
TAIL_BYTES = 2**17
# GIF89a (27: the trailer).
GIF = b"GIF8"
GIF_TRAILER, GIF_IMAGE, GIF_EXTENSION = b";,!"
# A GIF beyond this is not gone through.
MOST_GIF_BYTES = 2**26
RIFF, REAL, SWF = b"RIFF", b".RMF", b"FWS"
# FFmpeg counts a part of a head twice in the size of the last part of a RealMedia file.
REAL_HEAD_BYTES = 18
BOXES = (b"ftyp", b"styp", b"moov", b"moof", b"mdat", b"wide", b"free", b"skip")


def is_cut(path: Path) -> bool:
    """Whether the file ends before it should; False where nothing in it says so."""
    with path.open("rb") as file:
        content = Content(file)
        head = content[:HEAD_BYTES]
        if head[4:8] in BOXES:
            return _is_part_cut(content, box_size)
        if head.startswith(KLV):
            return head[8:].startswith(MXF) and is_mxf_cut(content)
        for start, is_shorter in ENDINGS.items():
            if head.startswith(start):
                return is_shorter(content)
        layout = layout_of(head)
        return layout is not None and len(content) % layout[1] != 0


def asf_size(content: Content) -> int:
    """How long an ASF file says it is; 0 where it does not know, as while it is recorded."""
    head = content[:ASF_HEAD_BYTES]
    place = head.find(ASF_FILE)
    stated, flags = head[place + 40 : place + 48], head[place + 88 : place + 92]
    if place < 0 or len(flags) < 4 or int.from_bytes(flags, "little") & IS_BROADCAST:
        return 0
    return int.from_bytes(stated, "little")


def _is_asf_cut(content: Content) -> bool:
    return len(content) < asf_size(content)


def _is_program_cut(content: Content) -> bool:
    """Whether the last packet of an MPEG program stream is longer than what is left of it."""
    tail = content[max(0, len(content) - TAIL_BYTES) :]
    place = tail.rfind(PREFIX)
    while place >= 0:
        code = tail[place + 3 : place + 4]
        if not code or code[0] == PACK_HEAD:
            return True
        if code[0] == PROGRAM_END:
            return False
        if code[0] >= FIRST_PACKET:  # what is below belongs to the video in a packet
            return place + 6 + int.from_bytes(tail[place + 4 : place + 6], "big") > len(tail)
        place = tail.rfind(PREFIX, 0, place + 2)
    return False


def _is_gif_cut(content: Content) -> bool:
    """Whether a GIF ends before its trailer; False for one that is damaged on the way there."""
    if len(content) > MOST_GIF_BYTES:
        return False
    try:
        place = 13 + _table_bytes(content[10])
        while content[place] != GIF_TRAILER:
            if content[place] == GIF_IMAGE:
                place = _after_blocks(content, place + 11 + _table_bytes(content[place + 9]))
            elif content[place] == GIF_EXTENSION:
                place = _after_blocks(content, place + 2)
            else:
                return False
    except IndexError:
        return True
    return False


def _after_blocks(content: Content, place: int) -> int:
    while content[place]:
        place += 1 + content[place]
    return place + 1


def _table_bytes(flags: int) -> int:
    """The size of the table of colours that follows these flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _is_swf_cut(content: Content) -> bool:
    return int.from_bytes(content[4:8], "little") > len(content)


def _is_riff_cut(content: Content) -> bool:
    return _is_part_cut(content, _riff_size)


def _is_real_cut(content: Content) -> bool:
    return _is_part_cut(content, _real_size, slack=REAL_HEAD_BYTES)


def _is_part_cut(
    content: Content, size_of: Callable[[bytes], int | None], *, slack: int = 0
) -> bool:
    """Whether the last of the parts that follow each other goes on beyond the end."""
    place = 0
    while place + 8 <= len(content):
        size = size_of(content[place : place + 16])
        if size is None:
            return False
        place += size
    return place > len(content) + slack


def _riff_size(head: bytes) -> int | None:
    """The size of a RIFF part; a writer that was stopped leaves zero or the largest number."""
    size = int.from_bytes(head[4:8], "little")
    return 8 + size if head.startswith(RIFF) and 0 < size < 2**32 - 9 else None


def _real_size(head: bytes) -> int | None:
    """The size of a part of a RealMedia file, whose name is of four letters."""
    size = int.from_bytes(head[4:8], "big")
    return size if size >= 8 and head[:4].strip(b".").isalpha() else None


# By how a file starts.
ENDINGS: Mapping[bytes, Callable[[Content], bool]] = {
    ASF: _is_asf_cut,
    EBML: is_matroska_cut,
    FLV: is_flv_cut,
    GIF: _is_gif_cut,
    NUT: is_nut_cut,
    OGG: is_ogg_cut,
    PACK: _is_program_cut,
    REAL: _is_real_cut,
    RIFF: _is_riff_cut,
    SWF: _is_swf_cut,
}
