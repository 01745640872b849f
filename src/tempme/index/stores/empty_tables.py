"""A table without rows as files, which any number of machines may put in one place.

When two machines create a table at once, LanceDB can let the second overwrite what the first has
written to it meanwhile, rows and all (https://github.com/lance-format/lance/issues/4451). But a
table without rows is one file, the manifest of its version 1, and no later version needs that:
whoever puts it there a second time changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tempme.index.stores.panics import load_lancedb

# A manifest tells when it was made, in 4 bytes or 5 for the part of the second (Protocol Buffers
# need the fifth from 2^28 nanoseconds on). All machines put the longer one there: a reader asks for
# as many bytes as it was told there are, and another machine may write just then.
LONG_FROM_MICROSECONDS = 2**28 // 1000 + 1


def empty_table(columns: Any) -> Mapping[str, bytes]:
    """The files of a table with these columns, by their names below it, the manifest first."""
    with TemporaryDirectory(prefix="tempme-") as folder:
        database = load_lancedb().connect(folder)
        while True:
            table = database.create_table("empty", schema=columns)
            if table.list_versions()[0]["timestamp"].microsecond >= LONG_FROM_MICROSECONDS:
                return _files(Path(folder, "empty.lance"))
            database.drop_table("empty")
            time.sleep(LONG_FROM_MICROSECONDS / 1e6)


def _files(table: Path) -> Mapping[str, bytes]:
    paths = [*table.glob("_versions/*.manifest"), *table.glob("_transactions/*.txn")]
    return {path.relative_to(table).as_posix(): path.read_bytes() for path in paths}
