"""An index that is not on this machine: in object storage, or on a Milvus server.

    s3://bucket/prefix                       tables of LanceDB, and beside them the side files
    milvus://host:port/collection            see `tempme.index.stores.milvus`
    milvus+tls://host:port/database/collection

Whoever opens one keeps nothing but a copy of its side files, so that any number of machines may.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from tempme.errors import BadIndex, BadSetting
from tempme.index.header import NAME as HEADER
from tempme.index.header import Header, read_header
from tempme.index.judging import NAME as CONFIDENCE
from tempme.index.lists.opened import remove_lists
from tempme.index.model import MODEL_FOLDER
from tempme.index.search import EXACT_MOMENTS
from tempme.index.side_files import (
    cache_folder,
    has_side_files,
    keep_file,
    put_side_files,
    side_files_of,
)
from tempme.index.stores.lance import LanceStore
from tempme.index.stores.milvus_server import SCHEMES, About, Address, MilvusServer
from tempme.index.stores.places import Place
from tempme.index.stores.store import Store
from tempme.uris import is_remote, shown_uri


@dataclass(frozen=True)
class Far:
    """A remote index: what a person calls it, its side files on this machine, and its store."""

    name: str
    folder: Path
    header: Header
    store: Store


def local_store(folder: Path, header: Header) -> Store:
    """The store of an index in a folder of this machine."""
    return LanceStore(folder, features=header.features, index_from=EXACT_MOMENTS)


def is_begun(uri: str) -> bool:
    """Whether there is an index; BadSetting for a URI of no known kind."""
    if _is_milvus(uri):
        return MilvusServer(Address.of(uri)).about() is not None
    return has_side_files(Place.of(uri))


def begin_with(uri: str, make: Callable[[Path], object]) -> None:
    """Make an index without rows, as `make` makes one in a folder, unless there is one."""
    if not is_begun(uri):
        with TemporaryDirectory(prefix="tempme-") as scratch:
            folder = Path(scratch) / "new.tempme"
            make(folder)
            begin_far(uri, Place(str(folder)), stays=False)


def begin_far(uri: str, side: Place, *, stays: bool) -> None:
    """Make an index without rows, of the side files in a place, unless there is one.

    `stays`: the place remains, so that an index which can hold no files may name it.
    """
    if is_begun(uri):
        return
    folder = side_files_of(side)
    if not _is_milvus(uri):
        put_side_files(folder, Place.of(uri))
        return
    header = read_header(folder)
    if not stays and header.source == MODEL_FOLDER:
        raise BadSetting(
            f"{shown_uri(uri)} holds rows and no files, so the model has to have a name that every "
            "machine can load (--model), or lie with shards: `tempme index --shards`, then "
            "`tempme store load`"
        )
    text = (folder / HEADER).read_text("utf-8")
    server = MilvusServer(Address.of(uri))
    server.begin(About(text, side.uri if stays else ""), features=header.features)


def open_far(uri: str) -> Far:
    """The index at a URI; BadIndex if there is none."""
    if _is_milvus(uri):
        return _on_milvus(uri)
    from tempme.index.stores.objects import ObjectStore

    place = Place.of(uri)
    folder = side_files_of(place)
    header = read_header(folder)
    store = ObjectStore(place, folder, features=header.features, index_from=EXACT_MOMENTS)
    return Far(place.uri, folder, header, store)


def keep_beside(name: str, folder: Path) -> None:
    """After a run: put what it made beside the rows into the store, for other machines."""
    if is_remote(name) and not _is_milvus(name) and (folder / CONFIDENCE).is_file():
        Place.of(name).write(CONFIDENCE, (folder / CONFIDENCE).read_bytes())


def _on_milvus(uri: str) -> Far:
    from tempme.index.stores.milvus import MilvusStore

    address = Address.of(uri)
    server = MilvusServer(address)
    about = server.about()
    if about is None:
        raise BadIndex(
            f"{address.shown} is not an index: the server has no such collection of tempme; fill "
            f"it with `tempme store load SHARDS --index {address.shown}`"
        )
    folder = cache_folder(address.shown)
    here = folder / HEADER
    if not here.is_file() or here.read_text("utf-8") != about.header:
        remove_lists(folder)  # the moments may be those of another model
        if about.side:
            side_files_of(Place(about.side), into=folder)
        keep_file(here, about.header.encode())
    header = read_header(folder)
    store = MilvusStore(server, folder, features=header.features, index_from=EXACT_MOMENTS)
    return Far(address.shown, folder, header, store)


def _is_milvus(uri: str) -> bool:
    return uri.partition("://")[0] in SCHEMES
