"""A kind of disturbance."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from experiments.benchmarks.chaos.scene import Scene

TRAINING = ("base", "backdoor", "safety")
ANY = (*TRAINING, "data", "evaluate")


@dataclass(frozen=True)
class Kind:
    """An action, the kinds of stages during which it happens, and what must then hold."""

    act: Callable[[Scene], str]
    stages: tuple[str, ...] = ANY
    workers: int = 0  # in training stages
    least: int = 0  # steps that must be done before, so that there is something to lose
    where: str = "folder"  # place of the store: "folder", "disk" or "s3"
    again: bool = False  # the damage may show only in the next run
    survived: bool = False  # by the run itself; after others the same command is given again
    settings: tuple[str, ...] = ()  # of the experiment, KEY=VALUE
    turns: int = 3  # in each round of all kinds
