"""`python -m tempme.tables [--check]`, in the root of the repository."""

from __future__ import annotations

import sys

from tempme.errors import TempmeError
from tempme.tables.documents import stale, write


def main(options: list[str]) -> int:
    """Rewrite the documents, or with --check only say which are out of date."""
    check = options == ["--check"]
    if options and not check:
        print("usage: python -m tempme.tables [--check]", file=sys.stderr)
        return 2
    try:
        changed = stale() if check else write()
    except TempmeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for document in changed:
        print(f"{document} {'is out of date: run `make tables`' if check else 'rewritten'}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
