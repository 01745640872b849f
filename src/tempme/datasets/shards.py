"""Tar archives of videos (the shards of webdataset): what is in one, and a member as a file.

A video in a shard is named by a path that goes into it: shards/0000.tar/dog.mp4. Nothing is ever
unpacked under a name that an archive gives; a member is copied, when it is read, to a temporary
file of our own. What an archive of a stranger could do harm with is refused, member by member, and
what is after a damage is not there, with a sentence.
"""

from __future__ import annotations

import os
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import BinaryIO, NamedTuple

from tempme.errors import BadVideo
from tempme.untrusted import MEBIBYTE, open_regular

SUFFIX = ".tar"
MOST_MEMBERS = 1_000_000
MOST_MEMBER_BYTES = 8 * 1024 * MEBIBYTE
MOST_HEADER_BYTES = MEBIBYTE  # a long name, or attributes, of one member
SHARDS_KEPT = 64  # of which a process remembers what is in them
CHUNK_BYTES = MEBIBYTE


class Member(NamedTuple):
    """Where the bytes of a member are."""

    offset: int
    size: int


@dataclass
class Shard:
    """What is in an archive: usable members, refused ones with the reason, and what is wrong."""

    path: Path
    members: dict[str, Member] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    note: str = ""


class _Bounded:
    """A file of which no header can have more read than is sane."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MOST_HEADER_BYTES:
            raise tarfile.ReadError(f"a header that claims {size:,} bytes")
        return self._file.read(size)

    def seek(self, place: int, whence: int = 0) -> int:
        return self._file.seek(place, whence)

    def tell(self) -> int:
        return self._file.tell()


def shard_of(place: Path) -> tuple[Path, str] | None:
    """The archive and the member that a path names; None where it leads into no archive."""
    for parent in place.parents:
        if parent.suffix.lower() == SUFFIX and parent.is_file():
            return parent, place.relative_to(parent).as_posix()
    return None


def read_shard(path: Path) -> Shard:
    """What is in an archive; one that cannot be read at all has a note and no members."""
    try:
        about = path.stat()
    except OSError as error:
        return Shard(path, note=f"cannot be opened: {error.strerror}")
    return _read(path, about.st_mtime_ns, about.st_size)


@contextmanager
def unpacked(place: Path) -> Iterator[Path]:
    """A member as a file, for as long as it is needed; BadVideo says why there is none."""
    found = shard_of(place)
    if found is None:
        raise BadVideo(f"{place} leads into no archive")
    archive, name = found
    shard = read_shard(archive)
    member = shard.members.get(name)
    if member is None:
        raise BadVideo(shard.refused.get(name) or shard.note or f"not in {archive.name}")
    with tempfile.TemporaryDirectory(prefix="tempme-") as folder:
        copy = Path(folder) / f"member{PurePosixPath(name).suffix}"
        _copy(archive, member, copy)
        yield copy


def read_member(place: Path, *, most_bytes: int) -> bytes:
    """All of a small member; BadVideo where there is none, or a larger one."""
    archive, name = shard_of(place) or (place, "")
    member = read_shard(archive).members.get(name)
    if member is None or member.size > most_bytes:
        raise BadVideo(f"{place}: {'too large' if member else 'not there'}")
    with open_regular(archive, follow=True) as file:
        file.seek(member.offset)
        return file.read(member.size)


@lru_cache(maxsize=SHARDS_KEPT)
def _read(path: Path, _: int, size: int) -> Shard:
    shard = Shard(path)
    try:
        with (
            open_regular(path, follow=True) as file,
            tarfile.open(fileobj=_Bounded(file), mode="r:") as archive,  # type: ignore[call-overload]
        ):
            _list(archive, shard, size)
            shard.note = shard.note or _end(archive, file)
    except (OSError, tarfile.TarError, ValueError, OverflowError) as error:
        before = f" after {len(shard.members):,} files" if shard.members else ""
        shard.note = f"not a tar archive that can be read{before}: {str(error) or 'damaged'}"
    return shard


def _list(archive: tarfile.TarFile, shard: Shard, size: int) -> None:
    place = -1
    while (info := archive.next()) is not None:
        archive.members = []  # type: ignore[attr-defined]  # which it else keeps, all of them
        if archive.offset <= place or info.size < 0:
            shard.note = "damaged: a header points back"
            return
        place = archive.offset
        if len(shard.members) + len(shard.refused) >= MOST_MEMBERS:
            shard.note = f"more than {MOST_MEMBERS:,} files; the first of them are used"
            return
        if info.isdir():
            continue
        name = PurePosixPath(info.name).as_posix()
        reason = _why_not(info, name, size)
        if reason:
            shard.members.pop(name, None)
            shard.refused[name] = reason
        else:
            shard.refused.pop(name, None)
            shard.members[name] = Member(info.offset_data, info.size)


def _why_not(info: tarfile.TarInfo, name: str, size: int) -> str:
    """Why a member is not used; empty if it may be."""
    if name.startswith("/") or ".." in name.split("/") or "\\" in name or ":" in name.split("/")[0]:
        return "its name leads out of its archive"
    if info.issym() or info.islnk():
        return "a link in an archive, which is not followed"
    if not info.isreg():
        return "not an ordinary file in its archive"
    if info.issparse():
        return "stored with holes (a sparse file), which is not read"
    if info.size > MOST_MEMBER_BYTES:
        return f"claims {info.size:,} bytes, more than {MOST_MEMBER_BYTES:,}"
    if info.offset_data + info.size > size:
        return "cut off: its archive ends before it does"
    return "" if info.size else "empty file"


def _end(archive: tarfile.TarFile, file: BinaryIO) -> str:
    """What is wrong with the end of an archive; whole ones end in blocks of zeros."""
    file.seek(archive.offset)
    block = file.read(tarfile.BLOCKSIZE)
    if len(block) < tarfile.BLOCKSIZE:
        return "cut off: it does not end as an archive does"
    return "damaged: what is after the last of its files cannot be read" if any(block) else ""


def _copy(archive: Path, member: Member, copy: Path) -> None:
    with open_regular(archive, follow=True) as source, copy.open("wb") as target:
        source.seek(member.offset)
        left = member.size
        while left and (block := source.read(min(left, CHUNK_BYTES))):
            target.write(block)
            left -= len(block)
    if left:
        raise BadVideo("cut off: its archive has become shorter")


def is_shard(path: Path) -> bool:
    """Whether a path is an archive by its name."""
    return path.suffix.lower() == SUFFIX and os.path.isfile(path)  # noqa: PTH113
