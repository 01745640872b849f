"""The shards of one recipe in a place: what lies there is what is done."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from tempme.index.building.ahead import ahead
from tempme.index.header import Header
from tempme.index.shards.recipe import recipe_of
from tempme.index.shards.shard import BadShard, VideoShard, pack, unpack
from tempme.index.shards.sightings import Sighting, pack_sightings, unpack_sightings
from tempme.index.stores.places import Place, PlacedFile

UNITS, FILES = "units", "files"
SUFFIX = ".parquet"
# Of a digest, so many letters are a folder: 256 of them, which are listed one by one.
FOLDER_LETTERS = 2


@dataclass(frozen=True)
class Damaged:
    """A file among the shards that is not one, and why."""

    name: str
    reason: str


class Shards:
    """The shards in `place` of the model and the cutting that `header` names.

    index.json, words.npz, model/    what an index has beside its rows
    units/ab/ab12...parquet          a shard for each content
    files/...parquet                 which content lies at which path
    pieces/                          of films that are being read
    """

    def __init__(self, place: Place, header: Header) -> None:
        self.place, self.header = place, header
        self.recipe = recipe_of(header)

    def digests(self) -> dict[str, int]:
        """The contents that have a shard, and the size of each in bytes: the manifest."""
        names = (_digest(listed) for listed in self.place.files(UNITS))
        return {digest: size for digest, size in names if digest}

    def strangers(self) -> tuple[Damaged, ...]:
        """What lies among the shards and has no name of one."""
        found = (listed for listed in self.place.files(UNITS) if not _digest(listed)[0])
        return tuple(Damaged(listed.name, "has no name of a shard") for listed in found)

    def read(self, digest: str) -> VideoShard | None:
        """The shard of a content; None if there is none, BadShard where it is damaged."""
        try:
            content = self.place.read(name_of(digest))
        except FileNotFoundError:
            return None
        return unpack(content, recipe=self.recipe, digest=digest, width=self.header.features)

    def write(self, shard: VideoShard) -> None:
        """Put a shard in its place: as a whole, and the same one again where it was there."""
        self.place.write(name_of(shard.row.digest), pack(shard, width=self.header.features))

    def is_done(self, digest: str) -> bool:
        """Whether there is a whole shard of this content."""
        with suppress(BadShard):
            return self.read(digest) is not None
        return False

    def see(self, sightings: Sequence[Sighting]) -> None:
        """Note where contents lie."""
        if sightings:
            name, content = pack_sightings(sightings)
            self.place.write(f"{FILES}/{name}", content)

    def sightings(self) -> tuple[list[Sighting], list[Damaged]]:
        """Every sighting, and the batches that cannot be read."""
        seen: list[Sighting] = []
        damaged = []
        names = [listed.name for listed in self.place.files(FILES)]
        for name, batch in ahead(self._batch, names):
            if isinstance(batch, str):
                damaged.append(Damaged(name, batch))
            else:
                seen += batch
        return seen, damaged

    def _batch(self, name: str) -> tuple[str, list[Sighting] | str]:
        try:
            return name, unpack_sightings(self.place.read(name))
        except BadShard as error:
            return name, str(error)


def name_of(digest: str) -> str:
    """Where the shard of a content lies below the place."""
    return f"{UNITS}/{digest[:FOLDER_LETTERS]}/{digest}{SUFFIX}"


def read_many(
    shards: Shards, digests: Sequence[str]
) -> Iterator[tuple[str, VideoShard | Damaged | None]]:
    """The shards of contents, read in threads while the caller works; None where there is none."""

    def read(digest: str) -> tuple[str, VideoShard | Damaged | None]:
        try:
            return digest, shards.read(digest)
        except BadShard as error:
            return digest, Damaged(name_of(digest), str(error))

    return ahead(read, digests)


def _digest(listed: PlacedFile) -> tuple[str, int]:
    """The content that a file among the shards is named after, and its size; "" for none."""
    digest = listed.name.rpartition("/")[2].removesuffix(SUFFIX)
    return (digest if name_of(digest) == listed.name else ""), listed.size_bytes
