"""Put a trained retriever into the package: python -m tempme.models FOLDER ORIGIN."""

from __future__ import annotations

import sys
from pathlib import Path

from tempme.retriever.names import SHIPPED
from tempme.retriever.retriever import Retriever


def ship(folder: Path, origin: str) -> Path:
    """Save the retriever in `folder` as scenes-tiny, in half precision, with its origin."""
    retriever = Retriever.load(folder)
    retriever.origin = origin
    return retriever.save(SHIPPED / "scenes-tiny", half=True)


if __name__ == "__main__":
    ship(Path(sys.argv[1]), sys.argv[2])
