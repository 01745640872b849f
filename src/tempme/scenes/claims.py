"""What the captions of a gallery claim, so that none is true of two of its scenes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

Deeds = frozenset[tuple[str, ...]]


class Claims:
    """What is claimed and what is true, of all scenes so far; each before its background."""

    def __init__(self) -> None:
        # Under one of its claims each: whatever holds them all holds that one.
        self._claimed: defaultdict[tuple[str, tuple[str, ...]], list[Deeds]] = defaultdict(list)
        self._true: defaultdict[tuple[str, tuple[str, ...]], list[Deeds]] = defaultdict(list)

    def clash(self, background: str, told: Deeds, shown: Deeds) -> bool:
        """Whether what is told is true of a scene of before, or the other way round."""
        of_before = (one for deed in shown for one in self._claimed.get((background, deed), ()))
        theirs = self._true.get((background, min(told)), ())
        return any(one <= shown for one in of_before) or any(told <= one for one in theirs)

    def add(self, background: str, scenes: Iterable[tuple[Deeds, Deeds]]) -> None:
        """Scenes that stay: what each tells, and what is true of it."""
        for told, shown in scenes:
            self._claimed[background, min(told)].append(told)
            for deed in shown:
                self._true[background, deed].append(shown)
