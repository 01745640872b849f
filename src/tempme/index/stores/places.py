"""Folders of this machine and prefixes of an object store, through the same few calls.

An object appears in an object store as a whole, and so does a file here (`tempme.atomic`): whoever
lists a place sees what was finished. Keys and the address of a store of one's own are taken from
the variables that every tool for S3 reads (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY,
AWS_SESSION_TOKEN, AWS_REGION, AWS_ENDPOINT_URL), never from a URI, and never shown.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from tempme.atomic import is_draft, replacing
from tempme.errors import BadIndex, BadSetting
from tempme.uris import shown_uri, uri_of

CONNECT_SECONDS, REQUEST_SECONDS = 10, 60
PLACES = "a folder, file:///FOLDER or s3://BUCKET/PREFIX"


@dataclass(frozen=True)
class PlacedFile:
    """A file of a place: its name below the place, its size, and when it was written."""

    name: str
    size_bytes: int
    mtime_ns: int = 0


@dataclass(frozen=True)
class Place:
    """A folder (a path) or a prefix of an object store (`s3://bucket/prefix`)."""

    uri: str

    @classmethod
    def of(cls, given: str | Path) -> Place:
        """The place that a person names; BadSetting for one of another kind."""
        text = uri_of(given)
        scheme, _, rest = text.partition("://")
        if not rest:
            return cls(str(Path(text).expanduser().absolute()))
        if scheme != "s3":
            raise BadSetting(f"{shown_uri(text)} is no place for files: give {PLACES}")
        if "@" in urlsplit(text).netloc:
            raise BadSetting(
                f"{shown_uri(text)} has keys in it, which would end up in logs: put them into "
                "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
            )
        return cls(text.rstrip("/"))

    @property
    def is_remote(self) -> bool:
        """Whether it is in an object store."""
        return "://" in self.uri

    def at(self, name: str) -> Place:
        """A place below this one."""
        return Place(f"{self.uri}/{name}")

    def read(self, name: str) -> bytes:
        """All of a file; FileNotFoundError if there is none, BadIndex if it cannot be read."""
        with self._failing(f"cannot read {self.uri}/{name}"):
            if not self.is_remote:
                return Path(self.uri, name).read_bytes()
            with s3().open_input_stream(f"{self.key}/{name}") as file:
                return bytes(file.read())

    def about(self) -> PlacedFile | None:
        """What an object is that the URI itself names; None where it names none."""
        from pyarrow import fs

        with self._failing(f"cannot read {self.uri}"):
            info = s3().get_file_info(self.key)
        return _placed(info, "") if info.type == fs.FileType.File else None

    @contextmanager
    def opened(self) -> Iterator[Any]:
        """The object that the URI itself names, to be read from its start."""
        with self._failing(f"cannot read {self.uri}"), s3().open_input_stream(self.key) as file:
            yield file

    def write(self, name: str, content: bytes) -> None:
        """A file that is there as a whole or not at all, in the place of one of this name."""
        with self._failing(f"cannot write {self.uri}/{name}"):
            if self.is_remote:
                # Nothing is seen of an object before it is closed: a process that dies leaves none.
                with s3().open_output_stream(f"{self.key}/{name}") as file:
                    file.write(content)
                return
            with replacing(Path(self.uri, name)) as draft, draft.open("wb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())

    def files(self, below: str = "") -> list[PlacedFile]:
        """Every file at and below a name, ordered by name; none where there is nothing."""
        with self._failing(f"cannot list {self.uri}"):
            found = self._objects(below) if self.is_remote else self._local_files(below)
            return sorted(found, key=lambda listed: listed.name)

    def folders(self) -> list[str]:
        """The names of the folders right below."""
        with self._failing(f"cannot list {self.uri}"):
            if not self.is_remote:
                here = Path(self.uri)
                return sorted(p.name for p in here.iterdir() if p.is_dir()) if here.is_dir() else []
            from pyarrow import fs

            chosen = fs.FileSelector(self.key, allow_not_found=True)
            infos = s3().get_file_info(chosen)
            return sorted(i.base_name for i in infos if i.type == fs.FileType.Directory)

    def remove(self, names: Collection[str]) -> None:
        """Remove files; those that are not there are no error."""
        with self._failing(f"cannot remove from {self.uri}"):
            for name in names:
                if self.is_remote:
                    s3().delete_file(f"{self.key}/{name}")
                else:
                    Path(self.uri, name).unlink(missing_ok=True)

    @property
    def key(self) -> str:
        """Bucket and key of an object, or of a prefix."""
        return unquote(self.uri.removeprefix("s3://"))

    def _objects(self, below: str) -> Iterator[PlacedFile]:
        from pyarrow import fs

        key = f"{self.key}/{below}".rstrip("/")
        for info in s3().get_file_info(fs.FileSelector(key, recursive=True, allow_not_found=True)):
            if info.type == fs.FileType.File:
                yield _placed(info, info.path[len(self.key) + 1 :])

    def _local_files(self, below: str) -> Iterator[PlacedFile]:
        for folder, _, names in os.walk(Path(self.uri, below)):
            for name in names:
                path = Path(folder, name)
                if not is_draft(name) and path.is_file():
                    about = path.stat()
                    name = path.relative_to(self.uri).as_posix()
                    yield PlacedFile(name, about.st_size, about.st_mtime_ns)

    @contextmanager
    def _failing(self, what: str) -> Iterator[None]:
        """BadIndex for whatever goes wrong but a file that is not there."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise BadIndex(f"{what}: {_why(error)}") from error


def _placed(info: Any, name: str) -> PlacedFile:
    return PlacedFile(name, info.size, info.mtime_ns or 0)


def s3_options() -> dict[str, str]:
    """What LanceDB needs to know of the store, beside the keys, which it finds where we do."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    options = {
        "region": region,
        "connect_timeout": f"{CONNECT_SECONDS}s",
        "timeout": f"{REQUEST_SECONDS}s",
    }
    if endpoint:
        options["endpoint"] = endpoint
        options["allow_http"] = str(endpoint.startswith("http://")).lower()
    return options


def s3() -> Any:
    """The file system of PyArrow for the store that the environment names."""
    options = s3_options()
    return _s3(options.get("endpoint"), options["region"])


@functools.cache
def _s3(endpoint: str | None, region: str) -> Any:
    from pyarrow import fs

    scheme, _, address = (endpoint or "").rpartition("://")
    return fs.S3FileSystem(
        region=region,
        scheme=scheme or "https",
        endpoint_override=address or None,
        connect_timeout=CONNECT_SECONDS,
        request_timeout=REQUEST_SECONDS,
    )


def _why(error: OSError) -> str:
    told = error.strerror or str(error)
    return f"{told.splitlines()[0][:300].rstrip('.').lower() if told else type(error).__name__}"
