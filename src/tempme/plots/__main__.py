"""`python -m tempme.plots`, in the root of the repository."""

from __future__ import annotations

import sys

from tempme.errors import TempmeError
from tempme.plots import draw


def main() -> int:
    """Draw results/ into docs/pictures/."""
    try:
        for path in draw():
            print(path)
    except TempmeError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
