"""Features in files that other programs read: Parquet, or NumPy's own with names beside it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tempme.atomic import replacing
from tempme.errors import BadSetting
from tempme.untrusted import MEBIBYTE, check_regular, read_json

if TYPE_CHECKING:
    from tempme.index.building.scan import Unseen
    from tempme.index.features import Features

FORMAT = "tempme features 1"
# The names of fifty million rows.
MOST_NAMES_BYTES = 4096 * MEBIBYTE


@contextmanager
def feature_file(out: Path) -> Iterator[Callable[[Features], None]]:
    """A function that writes features to `out`, a .parquet or .npy, as a whole or not at all.

    Its place is made sure of on entering, before hours of work: BadSetting where it cannot be
    written to. What stood there stays until the end.
    """
    write = WRITERS.get(out.suffix.lower())
    if write is None:
        raise BadSetting(f"--out is {out}; its name ends in one of {', '.join(WRITERS)}")
    if out.is_dir():
        raise BadSetting(f"--out is {out}, a folder; name a file")
    try:
        if os.path.lexists(out):
            check_regular(out)  # a pipe or a device is not to become a file
        if write is _write_npy:
            _check_names(names_file(out))
        with replacing(out) as draft:
            draft.touch()
            yield lambda features: write(features, draft, out)
    except OSError as error:
        raise BadSetting(f"cannot write {out}: {error.strerror or error}; give another") from error


def names_file(out: Path) -> Path:
    """Where the names of the rows of an .npy stand."""
    return out.with_suffix(".json")


def _write_parquet(features: Features, draft: Path, _: Path) -> None:
    """Columns path, start_seconds, end_seconds, fingerprint, feature; the rest in the metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    flat = pa.array(features.features.ravel())
    width = features.features.shape[1]
    table = pa.table(
        {
            "path": pa.array([_text(path) for path in features.paths], pa.utf8()),
            "start_seconds": features.spans[:, 0],
            "end_seconds": features.spans[:, 1],
            "fingerprint": pa.array([features.fingerprint] * len(features.paths), pa.utf8()),
            "feature": pa.FixedSizeListArray.from_arrays(flat, width),
        }
    )
    pq.write_table(table.replace_schema_metadata({"tempme": json.dumps(_about(features))}), draft)


def _write_npy(features: Features, draft: Path, out: Path) -> None:
    """The matrix (N, D) of float32; row i is `rows[i]` of the JSON file beside it."""
    with draft.open("wb") as file:
        np.save(file, features.features)
    rows = [
        {"path": _text(path), "start_seconds": float(start), "end_seconds": float(end)}
        for path, (start, end) in zip(features.paths, features.spans, strict=True)
    ]
    with replacing(names_file(out)) as names:
        text = json.dumps({**_about(features), "rows": rows}, indent=1, ensure_ascii=False)
        names.write_text(text + "\n", "utf-8")


WRITERS: dict[str, Callable[[Features, Path, Path], None]] = {
    ".parquet": _write_parquet,
    ".npy": _write_npy,
}


def _check_names(path: Path) -> None:
    """BadSetting where a file of somebody else has the name that the names need."""
    try:
        known = read_json(path, most_bytes=MOST_NAMES_BYTES, follow=True)
    except FileNotFoundError:
        return
    except (OSError, ValueError):
        known = None
    if not isinstance(known, dict) or known.get("format") != FORMAT:
        raise BadSetting(
            f"{path} would hold the names of the rows, but something else is there: "
            "give --out another name"
        )


def _about(features: Features) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "model": features.model,
        "fingerprint": features.fingerprint,
        "frames": features.frames,
        **asdict(features.cutting),
        "failures": _told(features.failures),
        "notes": _told(features.notes),
    }


def _told(items: Iterable[Unseen]) -> list[dict[str, str]]:
    return [{"path": _text(item.path), "reason": item.reason} for item in items]


def _text(path: Path) -> str:
    """The path as valid Unicode: a byte that is not UTF-8 is written as \\\\udc and two digits."""
    return str(path).encode("utf-8", "backslashreplace").decode("utf-8")
