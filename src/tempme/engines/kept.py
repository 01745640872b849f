"""Engines are kept between runs: making one of ViT-B/32 takes a minute, opening it a second.

They lie in a folder of the user's cache, by the fingerprint of the model, the engine, and the
versions of all that made it. One that is damaged is made again; those of other versions are removed
when a new one is made. Where nothing can be kept, an engine is made for one run.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from tempme.engines.choice import EngineChoice
from tempme.engines.extras import NEEDED, missing
from tempme.engines.folder import EngineFacts, read_facts
from tempme.errors import BadWeights

CACHE = "TEMPME_CACHE"
DRAFT, ABANDONED_SECONDS = ".making-", 24 * 3600.0
FORMAT = 1  # of what is made of a model: higher, once the same versions make something else


def cache_folder() -> Path:
    """Where engines are kept: TEMPME_CACHE, or the cache of the user."""
    if named := os.environ.get(CACHE):
        return Path(named).expanduser() / "engines"
    shared = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(shared).expanduser() / "tempme" / "engines"


def kept_folder(fingerprint: str, choice: EngineChoice) -> Path:
    """Where the engine of a model is kept, whether it is there or not."""
    packages = ("torch", *NEEDED[choice.engine])
    versions = f"{FORMAT} " + " ".join(f"{name} {version(name)}" for name in packages)
    own = hashlib.sha256(versions.encode()).hexdigest()[:8]
    return cache_folder() / f"{_stem(fingerprint, choice)}-{own}"


def kept_facts(fingerprint: str, choice: EngineChoice) -> EngineFacts | None:
    """What is said of a kept engine; None where none is."""
    if missing(choice.engine):
        return None
    try:
        return read_facts(kept_folder(fingerprint, choice))[0]
    except BadWeights:
        return None


def keep(fingerprint: str, choice: EngineChoice, make: Callable[[Path], object]) -> Path | None:
    """Have `make` write an engine into a folder that then takes its place; None if it cannot be.

    Whatever `make` raises is passed on, but for an OSError: nothing is kept then.
    """
    target = kept_folder(fingerprint, choice)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _remove_drafts(target.parent)
        draft = Path(mkdtemp(prefix=DRAFT, dir=target.parent))
    except OSError as error:
        logging.getLogger("tempme").warning("nothing is kept for the next start: %s", error)
        return None
    try:
        make(draft)
        _remove_others(target, fingerprint, choice)
        draft.replace(target)
    except OSError as error:
        logging.getLogger("tempme").warning("nothing is kept for the next start: %s", error)
        return None
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return target


def for_one_run() -> TemporaryDirectory[str]:
    """A folder for an engine that cannot be kept; gone when it is closed."""
    return TemporaryDirectory(prefix="tempme-engine-", ignore_cleanup_errors=True)


def _stem(fingerprint: str, choice: EngineChoice) -> str:
    plain = re.sub(r"[^\w.-]", "_", fingerprint)
    return f"{plain}-{choice.engine}-{choice.precision}"


def _remove_drafts(folder: Path) -> None:
    """Remove what processes that were killed left behind; what may still be made stays."""
    for draft in folder.glob(f"{DRAFT}*"):
        with suppress(OSError):
            if time.time() - draft.stat().st_mtime > ABANDONED_SECONDS:
                shutil.rmtree(draft)


def _remove_others(target: Path, fingerprint: str, choice: EngineChoice) -> None:
    """Remove what is there already, and what other versions made of the same model."""
    stem = _stem(fingerprint, choice)
    for other in target.parent.glob(f"{stem}-*"):
        shutil.rmtree(other, ignore_errors=True)
