"""What of a data set is really there: videos missing, not to be decoded, or several times."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tempme.datasets.pairs import Video
from tempme.datasets.places import digest_of, locate, probe_place, size_of
from tempme.processes.limits import WORKER_MEMORY_MB
from tempme.processes.pool import Crash, Limits, each_in_processes
from tempme.video import Failure, VideoInfo


@dataclass(frozen=True)
class Verification:
    """The state of one split on this disk.

    `paths` are the videos that can be used, `notes` what is odd about some of them (a truncated
    file is used as far as it goes). `listed_twice` are videos that the annotations name again,
    `several_files` names that several files bear, `same_content` videos whose files are equal byte
    by byte, `repeated_captions` captions beyond the first of the same words: exact ties.
    `damaged_archives` says what is wrong with tar archives.
    """

    name: str
    paths: dict[Video, Path]
    missing: tuple[Video, ...]
    undecodable: dict[Video, str]
    notes: dict[Video, str]
    listed_twice: tuple[Video, ...]
    several_files: dict[Video, tuple[Path, ...]]
    same_content: tuple[tuple[Video, ...], ...]
    repeated_captions: int
    damaged_archives: tuple[str, ...] = ()

    @property
    def num_listed(self) -> int:
        """Distinct videos that the annotations name."""
        return len(self.paths) + len(self.missing) + len(self.undecodable)

    @property
    def is_complete(self) -> bool:
        """Whether every listed video can be used."""
        return not self.missing and not self.undecodable

    def as_dict(self) -> dict[str, Any]:
        """Names and plain values for JSON."""
        return {
            "name": self.name,
            "listed": self.num_listed,
            "usable": len(self.paths),
            "missing": [str(video) for video in self.missing],
            "undecodable": {str(video): reason for video, reason in self.undecodable.items()},
            "notes": {str(video): note for video, note in self.notes.items()},
            "listed_twice": [str(video) for video in self.listed_twice],
            "several_files": {
                str(video): [str(path) for path in paths]
                for video, paths in self.several_files.items()
            },
            "same_content": [[str(video) for video in group] for group in self.same_content],
            "repeated_captions": self.repeated_captions,
            "damaged_archives": list(self.damaged_archives),
        }

    def lines(self, *, most: int = 5) -> tuple[str, ...]:
        """The same for a person: figures, and the first `most` names of each kind."""
        undecodable = [f"{video}: {reason}" for video, reason in self.undecodable.items()]
        notes = [f"{video}: {note}" for video, note in self.notes.items()]
        several = [f"{v}: {', '.join(map(str, p))}" for v, p in self.several_files.items()]
        same = [" = ".join(map(str, group)) for group in self.same_content]
        found: dict[str, Sequence[str]] = {
            "missing": [str(video) for video in self.missing],
            "undecodable": undecodable,
            "usable with a note": notes,
            "listed twice": [str(video) for video in self.listed_twice],
            "names with several files": several,
            "files with the same content": same,
            "damaged archives": self.damaged_archives,
        }
        head = f"{self.name}: N = {len(self.paths)} of {self.num_listed} videos can be used"
        lines = [
            head,
            *(line for what, which in found.items() for line in _some(what, which, most)),
        ]
        if self.repeated_captions:
            lines.append(f"  {self.repeated_captions} captions repeat another's words: exact ties")
        return tuple(lines)


def verify(
    name: str,
    videos: Sequence[Video],
    folder: Path,
    *,
    captions: Sequence[str] = (),
    workers: int | None = None,
    worker_memory_mb: float | None = WORKER_MEMORY_MB,
    on_probed: Callable[[int, int], None] | None = None,
) -> Verification:
    """Look for every video below `folder` and decode one frame of each in worker processes.

    A video that makes a process hold more than `worker_memory_mb` counts as undecodable.
    `on_probed(done, total)` is called after each video.
    """
    limits = Limits(worker_memory_mb=worker_memory_mb)
    listed = Counter(videos)
    located = locate(listed, folder)
    infos: dict[Path, VideoInfo | str] = {}
    files = sorted(set(located.paths.values()))
    for path, answer in each_in_processes(probe_place, files, workers=workers, limits=limits):
        infos[path] = answer.reason if isinstance(answer, (Failure, Crash)) else answer
        if on_probed is not None:
            on_probed(len(infos), len(files))
    usable, undecodable, notes = _sorted_out(located.paths, infos)
    return Verification(
        name=name,
        paths=usable,
        missing=located.missing,
        undecodable=located.refused | undecodable,
        notes=notes,
        listed_twice=tuple(video for video, times in listed.items() if times > 1),
        several_files=located.duplicated,
        same_content=_same_content(usable),
        repeated_captions=len(captions) - len(set(captions)),
        damaged_archives=located.notes,
    )


def _sorted_out(
    paths: dict[Video, Path], infos: dict[Path, VideoInfo | str]
) -> tuple[dict[Video, Path], dict[Video, str], dict[Video, str]]:
    """Usable videos, reasons of the others, and notes on the usable."""
    usable: dict[Video, Path] = {}
    undecodable: dict[Video, str] = {}
    notes: dict[Video, str] = {}
    for video, path in paths.items():
        info = infos[path]
        if isinstance(info, str):
            undecodable[video] = info
            continue
        usable[video] = path
        if info.note:
            notes[video] = info.note
    return usable, undecodable, notes


def _same_content(paths: dict[Video, Path]) -> tuple[tuple[Video, ...], ...]:
    """Groups of videos with equal files; only files of equal size are read."""
    by_size = _groups(paths, size_of)
    by_content = (_groups({video: paths[video] for video in group}, digest_of) for group in by_size)
    return tuple(group for groups in by_content for group in groups)


def _groups(
    paths: dict[Video, Path], key: Callable[[Path], int | bytes]
) -> tuple[tuple[Video, ...], ...]:
    """The groups of more than one video whose files have one key."""
    groups: defaultdict[int | bytes, list[Video]] = defaultdict(list)
    for video, path in paths.items():
        groups[key(path)].append(video)
    return tuple(tuple(group) for group in groups.values() if len(group) > 1)


def _some(what: str, which: Sequence[str], most: int) -> Iterable[str]:
    if not which:
        return
    yield f"  {len(which)} {what}"
    yield from (f"    {one}" for one in which[:most])
    if len(which) > most:
        yield f"    and {len(which) - most} more: --json lists all"
