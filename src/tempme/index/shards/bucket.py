"""Videos in a bucket: which there are, and which known ones are gone.

What an object is, its name says: nobody looks into a million of them before a run begins.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tempme.errors import BadSetting
from tempme.index.building.exclude import Excluding, excluding
from tempme.index.building.rubbish import rule_against_file, rule_against_folder
from tempme.index.building.scan import File, Unseen
from tempme.index.building.suffixes import is_named_like_a_picture, is_named_like_a_video
from tempme.index.stores.places import Place, PlacedFile
from tempme.uris import object_uri, uri_of

NO_PATH = "its key has empty parts, which no path can hold: rename it"


@dataclass(frozen=True)
class FoundObjects:
    """Objects to index, those that cannot be, and what was skipped by rule; `listed` are all."""

    videos: tuple[File, ...] = ()
    pictures: tuple[File, ...] = ()
    unreadable: tuple[Unseen, ...] = ()
    skipped: Mapping[str, int] = field(default_factory=dict)
    listed: frozenset[Path] = frozenset()


def find_objects(
    roots: Sequence[Place],
    *,
    exclude: Sequence[str],
    takes_picture: Callable[[File], bool],
    may_be_gone: Callable[[Path], bool],
) -> FoundObjects:
    """The videos and pictures at and below some URIs; rules and patterns are those of folders.

    BadSetting for a URI at and below which there is nothing, unless it `may_be_gone`.
    """
    files: dict[Path, File] = {}
    unreadable: dict[Path, Unseen] = {}
    skipped: Counter[str] = Counter()
    listed: set[Path] = set()
    for root in roots:
        found = _objects(root)
        if not found and not may_be_gone(Path(root.uri)):
            raise BadSetting(f"no such file or folder: {root.uri}")
        names = _names_by_folder(found)
        patterns = excluding(exclude, Path(root.uri))
        left_out: set[tuple[str, str]] = set()
        for one in found:
            uri = object_uri(f"{root.key}/{one.name}" if one.name else root.key)
            path = Path(uri)
            listed.add(path)
            if rule := _rule(one.name, patterns, names):
                left_out |= {rule} if rule[1].endswith("/") or _promises(path) else set()
            elif uri_of(path) != uri:
                unreadable[path] = Unseen(path, NO_PATH)
            else:
                files[path] = File(path, one.size_bytes, one.mtime_ns, is_named=not one.name)
        skipped.update(rule for rule, _ in left_out)
    return _sorted(files, unreadable, skipped, listed, takes_picture)


def gone_objects(
    known: Iterable[Path], roots: Sequence[Place], listed: Collection[Path], *, force: bool
) -> set[Path]:
    """Known paths at and below the roots that the bucket no longer has.

    BadSetting if those are most of them, as if somebody had emptied the wrong prefix.
    """
    gone: set[Path] = set()
    paths = list(known)
    for root in roots:
        below = [path for path in paths if path.is_relative_to(root.uri)]
        lost = set(below).difference(listed)
        if not force and len(below) > 1 and 2 * len(lost) > len(below):
            raise BadSetting(
                f"--prune removes nothing: {len(lost)} of the {len(below)} videos known in "
                f"{root.uri} are gone; if they are deleted, add --force"
            )
        gone |= lost
    return gone


def _objects(root: Place) -> list[PlacedFile]:
    """The object that the URI names, under an empty name, or those below it."""
    named = root.about() if "/" in root.key else None
    return root.files() if named is None else [named]


def _names_by_folder(found: Iterable[PlacedFile]) -> Mapping[str, frozenset[str]]:
    names: dict[str, set[str]] = defaultdict(set)
    for one in found:
        folder, _, name = one.name.rpartition("/")
        names[folder].add(name.lower())
    return {folder: frozenset(inside) for folder, inside in names.items()}


def _rule(
    name: str, patterns: Excluding, names: Mapping[str, frozenset[str]]
) -> tuple[str, str] | None:
    """Which rule skips an object below a root, and what it skips; the root itself by none."""
    folder, _, last = name.rpartition("/")
    parts = folder.split("/") if folder else []
    for depth, part in enumerate(parts, start=1):
        place = "/".join(parts[:depth]) + "/"
        rule = "excluded" if patterns.leaves_out(place) else rule_against_folder(part)
        if rule:
            return rule, place
    rule = rule_against_file(last, names[folder]) if name else ""
    rule = "excluded" if name and patterns.leaves_out(name) else rule
    return (rule, name) if rule else None


def _promises(path: Path) -> bool:
    return is_named_like_a_video(path) or is_named_like_a_picture(path)


def _sorted(
    files: Mapping[Path, File],
    unreadable: Mapping[Path, Unseen],
    skipped: Counter[str],
    listed: Collection[Path],
    takes_picture: Callable[[File], bool],
) -> FoundObjects:
    """Objects by what their names promise; one that was named by its URI is read whatever it is."""
    videos, pictures = [], []
    for path in sorted(files):
        file = files[path]
        if is_named_like_a_picture(path):
            if file.is_named or takes_picture(file):
                pictures.append(file)
            else:
                skipped["picture"] += 1
        elif file.is_named or is_named_like_a_video(path):
            videos.append(file)
    unseen = tuple(unreadable[path] for path in sorted(unreadable))
    return FoundObjects(tuple(videos), tuple(pictures), unseen, dict(skipped), frozenset(listed))
