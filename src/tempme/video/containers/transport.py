"""The end of a transport stream (ISO/IEC 13818-1): whether the file goes on to where it should.

A transport stream has no head that says how long it is, and a copy that broke off between two of
its packets looks whole. But each of its elementary streams travels in parts (PES packets) that may
say how long they are, and whose last packet is filled up: a part that lacks bytes, or whose last
packet is full to the brim, was not over. Tables are followed by what they describe.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from pathlib import Path

SYNC = 0x47
# Bytes before the sync byte, and of a packet: plain, on Blu-ray, with error correction.
LAYOUTS = ((0, 188), (4, 192), (0, 204))
PLAIN = 188
NULL_PACKET = 0x1FFF
# So much of the end is looked at: a part of 4K video is smaller.
TAIL_BYTES = 2**23
PES_START = b"\0\0\1"


class End(Enum):
    """How a transport stream ends: `FULL` is what a whole one does once in 184 times."""

    WHOLE = "whole"
    CUT = "cut"
    FULL = "full"


@dataclass
class _Part:
    """The last part of an elementary stream: bytes to come, if it says so, and its last packet."""

    missing: int | None
    is_full: bool = False


def layout_of(head: bytes) -> tuple[int, int] | None:
    """Bytes before the sync byte and size of the packets, if the file is a transport stream."""
    for before, size in LAYOUTS:
        if len(head) > 4 * size and all(head[before + i * size] == SYNC for i in range(5)):
            return before, size
    return None


def end_of(path: Path) -> End:
    """How the file ends; whole if it is not a transport stream or its packets are out of step."""
    num_bytes = path.stat().st_size
    with path.open("rb") as file:
        layout = layout_of(file.read(1024))
        if layout is None:
            return End.WHOLE
        before, size = layout
        if num_bytes % size:
            return End.CUT
        start = max(0, num_bytes - TAIL_BYTES // size * size)
        file.seek(start)
        tail = file.read()
    packets = [tail[i + before : i + before + PLAIN] for i in range(0, len(tail), size)]
    if any(packet[0] != SYNC for packet in packets):
        return End.WHOLE
    return _verdict(packets)


def _verdict(packets: list[bytes]) -> End:
    parts: dict[int, _Part] = {}
    is_table = False
    for packet in packets:
        pid = int.from_bytes(packet[1:3], "big") & 0x1FFF
        if pid == NULL_PACKET:
            continue
        payload, is_full = _payload(packet)
        if packet[1] & 0x40:
            if payload.startswith(PES_START):
                parts[pid] = _begun(payload, is_full)
                is_table = False
                continue
            is_table = pid not in parts
        elif pid in parts:
            is_table = False
            part = parts[pid]
            part.is_full = is_full if payload else part.is_full
            part.missing = None if part.missing is None else part.missing - len(payload)
    if is_table or any(part.missing is not None and part.missing > 0 for part in parts.values()):
        return End.CUT
    return End.FULL if any(p.missing is None and p.is_full for p in parts.values()) else End.WHOLE


def _begun(payload: bytes, is_full: bool) -> _Part:
    length = int.from_bytes(payload[4:6], "big")
    return _Part(missing=length + 6 - len(payload) if length else None, is_full=is_full)


def _payload(packet: bytes) -> tuple[bytes, bool]:
    """What a packet carries, and whether nothing was added to fill it up."""
    if not packet[3] & 0x10:
        return b"", False
    if not packet[3] & 0x20:
        return packet[4:], True
    length = packet[4]
    used = 1 + sum(size for bit, size in ((0x10, 6), (0x08, 6), (0x04, 1)) if packet[5] & bit)
    has_more = bool(length and packet[5] & 0x03)
    return packet[5 + length :], has_more or (length > 0 and length <= used)
