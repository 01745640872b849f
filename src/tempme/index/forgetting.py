"""Rows that a person no longer wants, whether their files exist or not."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tempme.errors import BadSetting
from tempme.index.stores.paths import real_path
from tempme.index.stores.store import Store
from tempme.uris import is_remote


def forget(store: Store, paths: Sequence[Path]) -> tuple[Path, ...]:
    """Remove the rows at and below `paths` and the moments that no other row needs.

    BadSetting for a path that the index knows nothing of; then nothing is removed.
    """
    known = [video.path for video in store.videos()]
    doomed: set[Path] = set()
    for given in paths:
        # A link may have been followed, or stand where another file stood when it was indexed.
        places = {real_path(given), given if is_remote(given) else given.absolute()}
        below = {path for path in known if any(path.is_relative_to(place) for place in places)}
        if not below:
            raise BadSetting(
                f"the index knows no video at or below {given}; nothing was removed: "
                "`tempme status --json` counts what it holds, a search shows paths"
            )
        doomed |= below
    store.forget(doomed)
    store.sweep()
    store.tidy()
    return tuple(sorted(doomed))
