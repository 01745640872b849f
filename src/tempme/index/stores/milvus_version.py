"""Which Milvus a server is, and what that asks for."""

from __future__ import annotations

import re

from tempme.errors import BadIndex

# Below 3.2.2 Milvus Lite does not read the parameters of a search. Of Milvus itself, 2.3.5 is the
# oldest that passes the tests; the index of texts has another name before 2.4.
OLDEST_LITE, OLDEST, INVERTED_FROM = (3, 2, 2), (2, 3, 5), (2, 4, 0)


def check_version(version: str, shown: str) -> None:
    """BadIndex for a server that is too old to be right; one that gives no number passes."""
    numbers = _numbers_of(version)
    # The package of a whole Milvus in one process says "-lite", too; Milvus Lite begins with it.
    is_lite = version.startswith("milvus_lite")
    least = OLDEST_LITE if is_lite else OLDEST
    if numbers is not None and numbers < least:
        raise BadIndex(
            f"the server of the index {shown} is {'Milvus Lite' if is_lite else 'Milvus'} "
            f"{'.'.join(map(str, numbers))}; at least {'.'.join(map(str, least))} is needed: "
            "upgrade it"
        )


def text_index_of(version: str) -> str:
    """The name that a server has for the index of texts."""
    numbers = _numbers_of(version)
    return "Trie" if numbers is not None and numbers < INVERTED_FROM else "INVERTED"


def _numbers_of(version: str) -> tuple[int, ...] | None:
    found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", version)
    return None if found is None else tuple(int(part or 0) for part in found.groups())
