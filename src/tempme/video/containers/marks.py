"""Whether a file has its end, in containers that mark it: told by a walk from part to part.

A file has its end where the last of its parts is whole and, if the container asks for one, the mark
of the end is there. What follows the parts and is none is rubbish, and no sign of a cut. Where a
container asks for no mark, a cut exactly between two parts cannot be told from an end.
"""

from __future__ import annotations

import struct

from tempme.video.containers.content import Content

HEAD_BYTES = 1024
EBML = b"\x1a\x45\xdf\xa3"
SEGMENT = b"\x18\x53\x80\x67"
CLUSTER = b"\x1f\x43\xb6\x75"
# What a cluster may begin with: a checksum, a filling, its place, its size or time, a block.
CLUSTER_STARTS = b"\xbf\xec\xa7\xab\xe7\xa3\xa0"
OGG = b"OggS\0"
OGG_HEAD_BYTES = 27
OGG_LAST_PAGE = 0x04
NUT = b"nut/multimedia container\0"
NUT_INDEX = bytes.fromhex("4e58dd672f23e64e")
FLV = b"FLV\x01"
FLV_PARTS = frozenset({8, 9, 18})  # sound, pictures, facts
FLV_SIZE = b"\0\x08filesize\0"
FLV_FACTS_BYTES = 2**16
# A key of SMPTE 336M, and what is in it of the first part of an MXF file (SMPTE 377M).
KLV = bytes.fromhex("060e2b34")
MXF = bytes.fromhex("0d01020101")


def is_matroska_cut(content: Content) -> bool:
    """By the size of the whole; where that was not known when it was written, by the last part."""
    place = content[:HEAD_BYTES].find(SEGMENT)
    if place < 0:
        return False
    begin, size = _number(content, place + len(SEGMENT), marked=False)
    if size:
        return begin + size > len(content)
    return _is_cluster_cut(content)  # a writer that was stopped may have left zero


def is_ogg_cut(content: Content) -> bool:
    """By the mark of the last page (RFC 3533, 6)."""
    place = content.rfind(OGG)
    head = content[place : place + OGG_HEAD_BYTES]
    if place < 0 or len(head) < OGG_HEAD_BYTES:
        return place >= 0
    sizes = content[place + OGG_HEAD_BYTES : place + OGG_HEAD_BYTES + head[26]]
    is_whole = place + OGG_HEAD_BYTES + head[26] + sum(sizes) <= len(content)
    return not is_whole or not head[5] & OGG_LAST_PAGE


def is_nut_cut(content: Content) -> bool:
    """By the index with which writers end a file."""
    place = content.rfind(NUT_INDEX)
    if place < 0:
        return True
    place += len(NUT_INDEX)
    size = 0
    for byte in content[place : place + 10]:
        place += 1
        size = size << 7 | byte & 0x7F
        if not byte & 0x80:
            return place + size > len(content)
    return True


def is_flv_cut(content: Content) -> bool:
    """By the size that it may state, and by its last part (Adobe's FLV 10.1, annex E)."""
    stated = content[:FLV_FACTS_BYTES].find(FLV_SIZE) + len(FLV_SIZE)
    number = content[stated : stated + 8]
    if stated >= len(FLV_SIZE) and len(number) == 8:
        (num_bytes,) = struct.unpack(">d", number)
        if num_bytes > len(content):
            return True
    place = int.from_bytes(content[5:9], "big") + 4
    while place < len(content):
        if content[place] & 0x1F not in FLV_PARTS:
            return False
        # Its size is followed by 7 bytes more of its head, and after it comes its size again.
        place += 11 + int.from_bytes(content[place + 1 : place + 4], "big") + 4
    return place > len(content)


def is_mxf_cut(content: Content) -> bool:
    """By its last part; a finished file states where the parts of its end begin."""
    begin, size = _ber(content, 16)
    place = int.from_bytes(content[begin : begin + size][24:32], "big")
    while place < len(content):
        if content[place : place + len(KLV)] != KLV[: len(content) - place]:
            return False
        begin, size = _ber(content, place + 16)
        if begin > len(content):
            return True
        place = begin + size
    return place > len(content)


def _is_cluster_cut(content: Content) -> bool:
    """Whether the last cluster, or what follows it, is longer than what is left."""
    place = content.rfind(CLUSTER)
    while place >= 0:
        begin, size = _number(content, place + len(CLUSTER), marked=False)
        if begin >= len(content) or content[begin] in CLUSTER_STARTS:
            return _ends_beyond(content, begin if size is None else begin + size)
        place = content.rfind(CLUSTER, place)
    return False


def _ends_beyond(content: Content, place: int) -> bool:
    """Whether the elements from `place` on need more bytes than there are."""
    while place < len(content):
        begin, ident = _number(content, place, marked=True)
        if ident is None or begin - place > 4:  # no name of an element is longer
            return False
        begin, size = _number(content, begin, marked=False)
        place = begin if size is None else begin + size
    return place > len(content)


def _number(content: Content, place: int, *, marked: bool) -> tuple[int, int | None]:
    """The byte after a number of EBML (RFC 8794, 4) and the number; None for one not known.

    `marked`: with the bits that tell its length, as names are written.
    """
    if place >= len(content):
        return place + 1, 0
    first = content[place]
    if not first:
        return place + 9, None
    width = 9 - first.bit_length()
    value = int.from_bytes(content[place : place + width], "big")
    unknown = (1 << 7 * width) - 1
    if marked:
        return place + width, value
    size = value & unknown
    return place + width, None if size == unknown else size


def _ber(content: Content, place: int) -> tuple[int, int]:
    """The byte after a length of SMPTE 336M, and the length."""
    first = int.from_bytes(content[place : place + 1], "big")
    if first < 0x80:
        return place + 1, first
    width = first & 0x7F
    return place + 1 + width, int.from_bytes(content[place + 1 : place + 1 + width], "big")
