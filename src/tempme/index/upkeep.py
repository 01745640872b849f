"""What a writer finds in order, and what becomes of an index that is damaged."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tempme.errors import BadIndex
from tempme.index.building.report import Report
from tempme.index.folder import check_plain, check_present, remove_leftovers
from tempme.index.header import FORMAT, Header, read_header
from tempme.index.lock import writing
from tempme.index.model import MODEL_FOLDER
from tempme.index.stores.damage import Damage
from tempme.index.stores.repair import OF_MOMENTS
from tempme.index.stores.store import Store
from tempme.uris import uri_of


@dataclass(frozen=True)
class Repair:
    """What was damaged, and the run that embedded it again; None where no file needed that.

    `gone` are the files of damaged rows that are not on disk: their rows are removed.
    """

    damage: Damage
    report: Report | None = None
    gone: tuple[Path, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same names and plain values, ready for JSON."""
        return {
            **self.damage.as_dict(),
            "repaired": None if self.report is None else self.report.as_dict(),
            "gone": [uri_of(path) for path in self.gone],
        }


def inspected(store: Store, header: Header, model: Callable[[], object]) -> Damage:
    """What is damaged in the store, and whether a model that the index keeps can be loaded."""
    damage = store.check()
    if header.source != MODEL_FOLDER:
        return damage
    try:
        model()
    except BadIndex as error:
        return replace(damage, model=str(error))
    return damage


@contextmanager
def in_order(folder: Path, store: Store, fingerprint: Callable[[], str]) -> Iterator[None]:
    """The write lock of an index that has no links or leftovers, and the format of this version.

    `fingerprint` is that of the index's model, for a header that names it as earlier versions did.
    """
    with _plain(folder, fingerprint):
        store.upgrade()
        yield


@contextmanager
def _plain(folder: Path, fingerprint: Callable[[], str]) -> Iterator[None]:
    """The same, but for what is in the tables."""
    with writing(folder):
        check_present(folder)
        check_plain(folder)
        remove_leftovers(folder)
        header = read_header(folder)
        if header.format < FORMAT:
            # First, so that an older version, which may not read what comes, says so.
            replace(header, fingerprint=fingerprint()).write(folder)
        yield


def repaired(
    folder: Path,
    store: Store,
    damage: Damage,
    fingerprint: Callable[[], str],
    add: Callable[[Sequence[Path]], Report],
) -> Repair:
    """Take out what is damaged, and embed it again by `add` where its file is there.

    BadIndex where the model is damaged: without it nothing can be embedded.
    """
    if damage.model:
        raise BadIndex(damage.model)
    if not damage:
        return Repair(damage)
    with _plain(folder, fingerprint):
        if "videos" not in damage.unreadable:
            store.upgrade()
        damage = store.check()
        store.repair(damage)
        lost = {row.path for row in damage.videos if row.reason not in OF_MOMENTS}
        lost |= {row.path for row in store.videos() if row.status == "damaged"}
        gone = tuple(sorted(path for path in lost if not path.is_file()))
        store.forget(gone)
        store.tidy()
    here = sorted(lost.difference(gone))
    return Repair(damage, add(here) if here else None, gone)
