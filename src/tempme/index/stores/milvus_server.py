"""A Milvus server, and the two collections that an index has there.

`NAME` holds the moments and `NAME_videos` the rows of the videos, with one row more: what an index
says of itself, and a word that changes with every write. The token is taken from the variable
TEMPME_MILVUS_TOKEN (`user:password`, or a key), the certificate of a server that signs its own from
TEMPME_MILVUS_CA; neither is ever part of a URI or a message.
"""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tempme.errors import BadIndex, BadSetting, MissingExtra
from tempme.index.stores.milvus_collections import is_made, make_moments, make_videos
from tempme.index.stores.milvus_trouble import why_unreached
from tempme.index.stores.milvus_version import check_version
from tempme.uris import shown_uri

Answer = TypeVar("Answer")

SCHEMES = ("milvus", "milvus+tls")
TOKEN, CERTIFICATE = "TEMPME_MILVUS_TOKEN", "TEMPME_MILVUS_CA"
PORT = 19530
CONNECT_SECONDS, CALL_SECONDS, SETTLE_SECONDS = 10.0, 60.0, 600.0
# Rows are asked for by ranges of this number, which is drawn from their key: a query has a limit.
BUCKETS = 4096
# A server answers at most 16,384 rows, and 64 MB, at a time.
MOST_ROWS = 4000
ABOUT = "about"
# What the client says of any connection that fails; and Milvus of a collection not in memory.
UNREACHED, NOT_LOADED = "Fail connecting to server", 101
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,200}")


@dataclass(frozen=True)
class Address:
    """`milvus://host:port/collection` or `milvus+tls://host:port/database/collection`, in parts."""

    host: str
    port: int
    collection: str
    database: str = ""
    tls: bool = False

    @classmethod
    def of(cls, uri: str) -> Address:
        """The parts of a URI; BadSetting that says how one is written."""
        form = "milvus://HOST:PORT/COLLECTION, or with a database before it; milvus+tls:// for TLS"
        try:
            parts = urlsplit(uri)
            host, port = parts.hostname, parts.port or PORT
        except ValueError:
            raise BadSetting(f"{shown_uri(uri)} is no address: write {form}") from None
        if "@" in parts.netloc or parts.query:
            raise BadSetting(
                f"{shown_uri(uri)} has a user, a password or a query in it, which would end up in "
                f"logs: put the token into {TOKEN} and write {form}"
            )
        names = parts.path.strip("/").split("/")
        if not host or len(names) > 2 or not all(map(NAME.fullmatch, names)):
            raise BadSetting(
                f"{shown_uri(uri)} is no address: write {form}; names have letters, digits and _"
            )
        database = names[0] if len(names) == 2 else ""
        return cls(host, port, names[-1], database, tls=parts.scheme == "milvus+tls")

    @property
    def shown(self) -> str:
        """The URI again: it has nothing in it that is secret."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        names = "/".join(filter(None, (self.database, self.collection)))
        return f"milvus{'+tls' if self.tls else ''}://{host}:{self.port}/{names}"


@dataclass(frozen=True)
class About:
    """What an index says of itself: the text of its header, and where its side files lie, if so."""

    header: str
    side: str
    word: str = ""


class MilvusServer:
    """Calls to the server at an address, for one collection; connected at the first of them."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.moments = address.collection
        self.videos = f"{address.collection}_videos"

    @functools.cached_property
    def client(self) -> Any:
        """The client of pymilvus; BadIndex where nobody answers, or an old version does."""
        module = _pymilvus()
        address = self.address
        host = f"[{address.host}]" if ":" in address.host else address.host
        secrets_given = {
            "token": os.environ.get(TOKEN),
            "server_pem_path": os.environ.get(CERTIFICATE),
        }
        given = {name: value for name, value in secrets_given.items() if value}
        _check_certificate(given.get("server_pem_path", ""))
        try:
            client = module.MilvusClient(
                f"{'https' if address.tls else 'http'}://{host}:{address.port}",
                db_name=address.database,
                timeout=CONNECT_SECONDS,
                **given,
            )
            version = str(client.get_server_version(timeout=CONNECT_SECONDS))
        except (module.MilvusException, OSError, TimeoutError) as error:
            raise BadIndex(self._unreached(error)) from error
        check_version(version, address.shown)
        return client

    def _unreached(self, error: Exception) -> str:
        told = getattr(error, "message", "") or str(error)
        if UNREACHED in told or isinstance(error, OSError):
            address = self.address
            told = why_unreached(
                address.host,
                address.port,
                tls=address.tls,
                ca=os.environ.get(CERTIFICATE, ""),
                told=(TOKEN, CERTIFICATE),
            )
        return f"cannot connect to the index {self.address.shown}: {_plain(told)}"

    @contextmanager
    def calling(self, what: str = "use") -> Iterator[None]:
        """BadIndex for what the server or the way to it does within."""
        milvus_error = _pymilvus().MilvusException
        try:
            yield
        except (milvus_error, OSError, TimeoutError) as error:
            told = getattr(error, "message", "") or str(error)
            raise BadIndex(
                f"cannot {what} the index {self.address.shown}: {_plain(told)}; look whether the "
                f"server runs there, and whether {TOKEN} is right for it"
            ) from error

    def about(self) -> About | None:
        """What the index says of itself; None if there is none."""
        with self.calling("read"):
            if not self.client.has_collection(self.videos, timeout=CALL_SECONDS):
                return None
        try:
            rows = self.get(self.videos, [ABOUT], ["row"])
        except BadIndex:
            with self.calling("read"):
                if not is_made(self.client, self.videos):
                    return None  # somebody is about to make it, or was killed while doing so
            rows = self.get(self.videos, [ABOUT], ["row"])
        if not rows:
            return None
        try:
            return About(**json.loads(rows[0]["row"]))
        except (ValueError, TypeError) as error:
            raise BadIndex(
                f"the index {self.address.shown} cannot be read: what it says of itself is damaged "
                "or of another version; load it again from its shards under another name"
            ) from error

    def get(
        self, collection: str, keys: Sequence[str], fields: list[str], *, newest: bool = True
    ) -> list[dict[str, Any]]:
        """The rows with these keys; those that are not there are left out."""
        where = f"id in {json.dumps(list(keys))}"
        return self.query(collection, where, fields, newest=newest)

    def query(
        self, collection: str, where: str, fields: list[str], *, newest: bool = True
    ) -> list[dict[str, Any]]:
        """The rows for which an expression holds: all that is written by now, if `newest`."""
        with self.calling("read"):
            return self.loaded(
                collection,
                lambda: list(
                    self.client.query(
                        collection,
                        filter=where,
                        output_fields=fields,
                        timeout=CALL_SECONDS,
                        consistency_level="Strong" if newest else "Eventually",
                    )
                ),
            )

    def pages(self, collection: str, fields: list[str]) -> Iterator[dict[str, Any]]:
        """All rows of a collection, by ranges of the number that is drawn from their key."""
        step = max(1, BUCKETS // max(1, -(-self.count(collection) // MOST_ROWS)))
        for start in range(0, BUCKETS, step):
            yield from self.query(
                collection, f"bucket >= {start} and bucket < {start + step}", fields
            )

    def loaded(self, collection: str, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives; a collection that somebody released is loaded again for it."""
        try:
            return ask()
        except _pymilvus().MilvusException as error:
            # One that somebody else is about to make is left to them.
            if error.code != NOT_LOADED or not is_made(self.client, collection):
                raise
            self.client.load_collection(collection, timeout=SETTLE_SECONDS)
            return ask()

    def count(self, collection: str) -> int:
        """How many rows a collection has, which a server knows as long as nothing is filtered."""
        return int(self.query(collection, "", ["count(*)"])[0]["count(*)"])

    def settle(self) -> None:
        """Have the server seal what was written, which is when it builds its indexes of it."""
        for name in (self.moments, self.videos):
            with self.calling("tidy"):
                self.client.flush(name, timeout=SETTLE_SECONDS)

    def begin(self, about: About, *, features: int) -> None:
        """Make the collections where they are missing, and say what the index is."""
        with self.calling("make"):
            make_moments(_pymilvus(), self.client, self.moments, features=features)
            make_videos(_pymilvus(), self.client, self.videos)
        self.say(about)

    def say(self, about: About) -> None:
        """Write what the index says of itself, with a new word."""
        told = json.dumps({**asdict(about), "word": secrets.token_hex(8)})
        row = {"id": ABOUT, "bucket": -1, "video": "", "row": told, "feature": [0.0, 1.0]}
        with self.calling("write to"):
            self.client.upsert(self.videos, [row], timeout=CALL_SECONDS)


@functools.cache
def _pymilvus() -> Any:
    """The client, which is an extra; it, and gRPC below it, log every error that they raise."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")
    try:
        import pymilvus
    except ImportError as error:
        raise MissingExtra(
            "an index on Milvus needs its client: pip install 'tempme[milvus]'"
        ) from error
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    return pymilvus


def _check_certificate(path: str) -> None:
    if path and not Path(path).is_file():
        raise BadSetting(f"{CERTIFICATE} is {path}, which is no file; name a certificate in PEM")


def _plain(told: str) -> str:
    """One line, in which no token is left."""
    token = os.environ.get(TOKEN)
    line = " ".join(told.split())[:300]
    return line.replace(token, "***") if token else line
