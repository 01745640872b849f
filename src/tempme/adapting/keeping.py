"""The folder of an adaptation: whose it is, and what of the work is kept until it is done.

While it goes on, `run/` holds the windows (`windows.npy`), what is known of them and the teacher's
features, and checkpoints. At the end it is removed, and the folder is a saved retriever.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tempme.adapting.settings import Adapting
from tempme.adapting.windows import Sample
from tempme.atomic import check_writable, is_draft, replacing
from tempme.errors import BadSetting
from tempme.index.building.scan import Unseen
from tempme.retriever.names import SYSTEM
from tempme.untrusted import MEBIBYTE, read_json

FORMAT = 1
NAME, REPORT, CARD, RUN = "adapting.json", "adapted.json", "README.md", "run"
PIXELS, FACTS, FEATURES = "windows.npy", "windows.json", "features.npz"
END = "learnt.json"
# What may differ between two starts of one run.
FREE = ("save_every",)
MOST_BYTES = 64 * MEBIBYTE
_ELSEWHERE = "give --out another folder, or remove this one"

Floats = NDArray[np.float32]


class Folder:
    """The folder `path` of one adaptation."""

    def __init__(self, path: Path) -> None:
        self.path, self.run = path, path / RUN

    def check(self, asked: Mapping[str, Any]) -> None:
        """BadSetting where the folder holds something that is not of this run; nothing is made."""
        if (self.path / NAME).exists():
            if self.sample_is_kept() or self.is_saved():
                self._check_same(_plain(asked))
        elif strangers := self._strangers():
            raise BadSetting(f"{self.path} holds {strangers[0]} already: {_ELSEWHERE}")

    def make(self) -> None:
        """Make it; OSError, which names the place, where nothing can be written."""
        check_writable(self.run / PIXELS)

    def claim(self, asked: Mapping[str, Any]) -> None:
        """Write what the run is; the caller holds the lock of `run`."""
        _write_json(_plain(asked), self.path / NAME)

    def is_saved(self) -> bool:
        """Whether a retriever is here: a folder that is not there yet is no name on a hub."""
        return (self.path / SYSTEM).is_file()

    def sample_is_kept(self) -> bool:
        """Whether the videos have been read."""
        return (self.run / FACTS).exists()

    def report(self) -> dict[str, Any] | None:
        """What a finished run told; None where none has finished, or its retriever is gone."""
        if not self.is_saved():
            return None
        try:
            found = read_json(self.path / REPORT, most_bytes=MOST_BYTES)
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def finish(self, report: Mapping[str, Any], card: str) -> None:
        """Write card and report; what was only kept for going on goes."""
        with replacing(self.path / CARD) as draft:
            draft.write_text(card, "utf-8")
        _write_json(report, self.path / REPORT)
        shutil.rmtree(self.run, ignore_errors=True)

    def keep(self, sample: Sample) -> None:
        """Keep the windows; whatever interrupts it, they are all there or none."""
        with replacing(self.run / PIXELS) as draft:
            np.save(draft, sample.pixels)
        facts = {
            "video": sample.video.tolist(),
            "spans": sample.spans.tolist(),
            "paths": [str(path) for path in sample.paths],
            "num_found": sample.num_found,
            "skipped": dict(sample.skipped),
            **{k: _told(getattr(sample, k)) for k in ("failures", "notes")},
        }
        _write_json(facts, self.run / FACTS)

    def sample(self) -> Sample | None:
        """The windows that were kept, read from the disk as they are asked for."""
        if not self.sample_is_kept():
            return None
        try:
            facts = read_json(self.run / FACTS, most_bytes=MOST_BYTES)
            pixels = np.load(self.run / PIXELS, mmap_mode="r", allow_pickle=False)
            made = Sample(
                pixels=pixels,
                video=np.asarray(facts["video"], np.int64),
                spans=np.asarray(facts["spans"], np.float64).reshape(-1, 2),
                paths=tuple(map(Path, facts["paths"])),
                num_found=int(facts["num_found"]),
                skipped=facts["skipped"],
                **{
                    k: tuple(Unseen(Path(i["path"]), i["reason"]) for i in facts[k])
                    for k in ("failures", "notes")
                },
            )
        except (OSError, ValueError, LookupError, TypeError) as reason:
            raise self._damaged(FACTS) from reason
        if len(pixels) != len(made) or pixels.dtype != np.uint8 or pixels.ndim != 5:
            raise self._damaged(PIXELS)
        return made

    def keep_features(self, **features: Floats) -> None:
        """Keep what models made of the windows and phrases."""
        with replacing(self.run / FEATURES) as draft, draft.open("wb") as file:
            np.savez(file, **features)  # type: ignore[arg-type]

    def features(self, *names: str) -> dict[str, Floats] | None:
        """What was kept; None where nothing was."""
        path = self.run / FEATURES
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as found:
                return {name: found[name] for name in names}
        except Exception as reason:  # what zipfile and NumPy make of damage is anyone's guess
            raise self._damaged(FEATURES) from reason

    def keep_end(self, end: Mapping[str, Any]) -> None:
        """Keep what learning came to."""
        _write_json(end, self.run / END)

    def end(self) -> dict[str, Any] | None:
        """What learning came to; None where it has not ended."""
        path = self.run / END
        try:
            return dict(read_json(path, most_bytes=MOST_BYTES)) if path.exists() else None
        except (OSError, ValueError, TypeError) as reason:
            raise self._damaged(END) from reason

    def _check_same(self, asked: Mapping[str, Any]) -> None:
        try:
            before = read_json(self.path / NAME, most_bytes=MOST_BYTES)
        except (OSError, ValueError) as reason:
            raise BadSetting(f"{self.path / NAME} cannot be read: {_ELSEWHERE}") from reason
        before = before if isinstance(before, dict) else {}
        differ = [
            f"{name} is {_named(before.get(name))} there, {_named(asked.get(name))} here"
            for name in dict.fromkeys([*before, *asked])
            if name not in FREE and before.get(name) != asked.get(name)
        ]
        if differ:
            raise BadSetting(f"{self.path} holds another run ({'; '.join(differ)}): {_ELSEWHERE}")

    def _strangers(self) -> list[str]:
        """What lies in the folder that no start of a run left there."""
        try:
            names = sorted(item.name for item in self.path.iterdir())
        except FileNotFoundError:
            return []
        except NotADirectoryError as reason:
            raise BadSetting(f"{self.path} is a file: give --out a folder") from reason
        return [name for name in names if name != RUN and not is_draft(name)]

    def _damaged(self, name: str) -> BadSetting:
        return BadSetting(
            f"{self.run / name} is damaged, so that the run cannot go on: remove {self.run} to "
            f"read the videos anew"
        )


def identity(settings: Adapting, model: str, videos: Sequence[str]) -> dict[str, Any]:
    """What decides what comes out; model and videos in words that another start has, too."""
    return {"format": FORMAT, "model": model, "videos": list(videos), **asdict(settings)}


def _named(value: object) -> str:
    return "not given" if value is None else repr(value)


def _plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    """As it is read again: tuples are lists in JSON."""
    return dict(json.loads(json.dumps(asked)))


def _told(items: tuple[Unseen, ...]) -> list[dict[str, str]]:
    return [{"path": str(item.path), "reason": item.reason} for item in items]


def _write_json(document: Mapping[str, Any], path: Path) -> None:
    with replacing(path) as draft:
        draft.write_text(json.dumps(document, indent=1) + "\n", "utf-8")
