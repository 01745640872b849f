"""Put a trained retriever into the package: python -m tempme.models NAME FOLDER ORIGIN."""

from __future__ import annotations

import sys
from pathlib import Path

from tempme.retriever.names import SHIPPED
from tempme.retriever.retriever import Retriever


def ship(name: str, folder: Path, origin: str) -> Path:
    """Save the retriever in `folder` as `name`, in half precision, with its origin."""
    retriever = Retriever.load(folder)
    retriever.origin = origin
    return retriever.save(SHIPPED / name, half=True)


if __name__ == "__main__":
    ship(sys.argv[1], Path(sys.argv[2]), sys.argv[3])
