"""Where videos are: files, folders of pictures, members of tar archives; each named by one path."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Container, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tempme.datasets.frame_folders import is_frame_folder, picture_files, probe_frames
from tempme.datasets.pairs import VIDEO_SUFFIXES, Video, without_suffix
from tempme.datasets.shards import SUFFIX, Shard, is_shard, read_shard, shard_of, unpacked
from tempme.errors import BadDataset, BadVideo
from tempme.video import Failure, Reading, VideoInfo, probe
from tempme.video.values import AS_USUAL

Places = tuple[Path, ...]
ByKey = dict[str, Places]


@dataclass(frozen=True)
class Located:
    """Where each video is.

    `missing` are nowhere; `duplicated` are in several places (the first by path is used).
    `refused` members of archives are there and must not be read, with the reason. `notes` say what
    is wrong with archives, whose other videos may be missing for it.
    """

    paths: dict[Video, Path]
    missing: tuple[Video, ...]
    duplicated: dict[Video, tuple[Path, ...]]
    refused: dict[Video, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def locate(videos: Iterable[Video], folder: Path | None) -> Located:
    """Find each named video anywhere below `folder`; a video that is a path is in its own place.

    Without a folder only such paths are found. `folder` may be one tar archive.

    A name matches its relative path, with another suffix too (a set re-encoded to mp4), else a file
    of that name, else a video file whose name without suffix is the name, or is the name without
    its own suffix. Where no file does, a folder of pictures of that name, then a video in a tar
    archive.
    """
    wanted = list(dict.fromkeys(videos))
    places: dict[Video, Places] = {
        video: (video,) for video in wanted if isinstance(video, Path) and is_there(video)
    }
    names = [video for video in wanted if isinstance(video, str)]
    shards: tuple[Shard, ...] = ()
    if folder is not None and names:
        _check_folder(folder)
        for search in (_files_by_name, _folders_by_name):  # the last looks into every folder
            by_key = search(folder) if any(name not in places for name in names) else {}
            places |= _named(names, by_key, places)
        if any(name not in places for name in names):
            shards = tuple(read_shard(path) for path in shard_files(folder))
            places |= _named(names, _members_by_name(shards), places)
    unsafe = _unsafe(shards)
    lost = [video for video in wanted if video not in places]
    refused = {video: reason for video in lost if (reason := _refusal(video, unsafe))}
    return Located(
        paths={video: places[video][0] for video in wanted if video in places},
        missing=tuple(video for video in lost if video not in refused),
        duplicated={video: found for video, found in places.items() if len(found) > 1},
        refused=refused,
        notes=tuple(f"{shard.path.name}: {shard.note}" for shard in shards if shard.note),
    )


def video_files(folder: Path) -> list[Path]:
    """Every file below a folder that is named like a video; hidden ones are drafts of others."""
    return _files(folder, VIDEO_SUFFIXES)


def shard_files(folder: Path) -> list[Path]:
    """Every tar archive below a folder, or the one that it is."""
    if is_shard(folder):
        return [folder]
    return [path for path in _files(folder, {SUFFIX}) if is_shard(path)]


def is_there(place: Path) -> bool:
    """Whether a path leads to something that may be a video."""
    # Unlike Path.is_file, this is False for a name that no file can have.
    if os.path.isfile(place):  # noqa: PTH113
        return True
    if os.path.isdir(place):  # noqa: PTH112
        return is_frame_folder(place)
    found = shard_of(place)
    return found is not None and found[1] in read_shard(found[0]).members


def probe_place(place: Path, reading: Reading = AS_USUAL) -> VideoInfo | Failure:
    """`probe`, of whatever a path leads to."""
    if place.is_dir():
        return probe_frames(place, reading)
    if place.is_file() or shard_of(place) is None:
        return probe(place, reading)
    try:
        with unpacked(place) as copy:
            return probe(copy, reading)
    except (BadVideo, OSError) as error:
        return Failure(place, str(error), isinstance(error, OSError))


def size_of(place: Path) -> int:
    """Bytes of a video."""
    if place.is_dir():
        return sum(picture.stat().st_size for picture in picture_files(place))
    found = None if place.is_file() else shard_of(place)
    return place.stat().st_size if found is None else read_shard(found[0]).members[found[1]].size


def digest_of(place: Path) -> bytes:
    """Equal for equal content."""
    if place.is_dir():
        whole = hashlib.blake2b()
        for picture in picture_files(place):
            whole.update(digest_of(picture))
        return whole.digest()
    if not place.is_file():
        with unpacked(place) as copy:
            return digest_of(copy)
    with place.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").digest()


def _check_folder(folder: Path) -> None:
    if not folder.is_dir() and not is_shard(folder):
        raise BadDataset(f"{folder} is not a folder; give the one that holds the videos")


def _files_by_name(folder: Path) -> ByKey:
    return _by_key((path, _below(path, folder)) for path in video_files(folder))


def _folders_by_name(folder: Path) -> ByKey:
    return _by_key((path, _below(path, folder)) for path in _frame_folders(folder))


def _members_by_name(shards: Iterable[Shard]) -> ByKey:
    return _by_key(
        (shard.path / name, PurePosixPath(name))
        for shard in shards
        for name in shard.members
        if PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES
    )


def _named(names: Iterable[str], by_key: ByKey, known: Container[Video]) -> dict[Video, Places]:
    """The places of names that have none yet."""
    looked_up = ((name, _by_name(name, by_key)) for name in names if name not in known)
    return {name: found for name, found in looked_up if found}


def _files(folder: Path, suffixes: Collection[str]) -> list[Path]:
    return sorted(
        Path(place) / name
        for place, _, names in os.walk(folder)
        for name in names
        if os.path.splitext(name)[1].lower() in suffixes  # noqa: PTH122
        and not name.startswith(".")
    )


def _frame_folders(folder: Path) -> list[Path]:
    below = (Path(place) / name for place, names, _ in os.walk(folder) for name in names)
    return sorted(one for one in below if not one.name.startswith(".") and is_frame_folder(one))


def _below(path: Path, folder: Path) -> PurePosixPath:
    return PurePosixPath(path.relative_to(folder).as_posix())


def _by_key(places: Iterable[tuple[Path, PurePosixPath]]) -> ByKey:
    found: ByKey = {}
    for path, name in places:
        for key in dict.fromkeys(_names(name)):
            found[key] = (*found.get(key, ()), path)
    return found


def _names(place: PurePosixPath) -> Iterator[str]:
    """What a file may be called; `a.avi.mp4` is the re-encoded `a.avi`, so `a` too."""
    inside = "" if place.parent == PurePosixPath() else f"{place.parent.as_posix()}/"
    stem = without_suffix(place.name)
    stems = (stem, without_suffix(stem))
    yield from (place.as_posix(), *(inside + each for each in stems), place.name, *stems)


def _by_name(video: str, by_key: ByKey) -> Places:
    stem = without_suffix(video)
    place = f"{video.rpartition('/')[0]}/{stem}" if "/" in video else stem
    return by_key.get(video) or by_key.get(place) or by_key.get(stem, ())


def _unsafe(shards: Iterable[Shard]) -> dict[str, str]:
    return {
        key: f"{shard.path.name}: {name}: {reason}"
        for shard in shards
        for name, reason in shard.refused.items()
        for key in _names(PurePosixPath(name))
    }


def _refusal(video: Video, unsafe: dict[str, str]) -> str:
    if isinstance(video, str):
        return unsafe.get(video) or unsafe.get(without_suffix(video), "")
    found = shard_of(video)
    return "" if found is None else read_shard(found[0]).refused.get(found[1], "")
