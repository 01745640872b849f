"""Where a file should end, by what stands in it, in containers that no demuxer holds to it.

ASF (Advanced Systems Format, revision 01.20, 3.2) states its size, a packet of an MPEG program
stream (ISO/IEC 13818-1, 2.5.3) its length, and a GIF ends with a trailer (GIF89a, 27).
"""

from __future__ import annotations

from typing import IO

ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
ASF_FILE = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
ASF_HEAD_BYTES = 2**16
IS_BROADCAST = 1
PACK = b"\0\0\1\xba"
PREFIX = PACK[:3]
# Codes of a start in a program stream: its end, the head of a pack, and from then on packets.
PROGRAM_END, PACK_HEAD, FIRST_PACKET = 0xB9, 0xBA, 0xBB
# Longer than any packet, whose length is a number of two bytes.
TAIL_BYTES = 2**17
GIF = b"GIF8"
GIF_TRAILER, GIF_IMAGE, GIF_EXTENSION = b";,!"
# A GIF beyond this is not gone through.
MOST_GIF_BYTES = 2**26


def asf_size(file: IO[bytes]) -> int:
    """How long an ASF file says it is; 0 where it does not know, as while it is recorded."""
    file.seek(0)
    head = file.read(ASF_HEAD_BYTES)
    place = head.find(ASF_FILE)
    stated, flags = head[place + 40 : place + 48], head[place + 88 : place + 92]
    if place < 0 or len(flags) < 4 or int.from_bytes(flags, "little") & IS_BROADCAST:
        return 0
    return int.from_bytes(stated, "little")


def is_program_cut(file: IO[bytes], num_bytes: int) -> bool:
    """Whether the last packet of an MPEG program stream is longer than what is left of it."""
    first = max(0, num_bytes - TAIL_BYTES)
    file.seek(first)
    tail = file.read(TAIL_BYTES)
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


def is_gif_cut(file: IO[bytes], num_bytes: int) -> bool:
    """Whether a GIF ends before its trailer; False for one that is damaged on the way there."""
    if num_bytes > MOST_GIF_BYTES:
        return False
    file.seek(0)
    content = file.read()
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


def _after_blocks(content: bytes, place: int) -> int:
    while content[place]:
        place += 1 + content[place]
    return place + 1


def _table_bytes(flags: int) -> int:
    """The size of the table of colours that follows these flags."""
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0
