"""Nodes of this machine with networks of their own, each behind one link of a limited speed."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path


def unusable() -> str:
    """The reason why there can be no such networks here; "" if there can."""
    try:
        with linked(1) as links:
            links.to(1)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or str(error)
        return f"no network can be made (root, iproute2): {said.strip()}"
    return ""


@dataclass(frozen=True)
class Link:
    """One node's link: its end on this machine, and the network that it leads to."""

    namespace: str
    address: str
    device: str

    def open(self) -> None:
        """Interrupt it: nothing passes until it is closed again."""
        _run("ip", "link", "set", self.device, "down")

    def close(self) -> None:
        """Let everything pass."""
        _run("ip", "link", "set", self.device, "up")

    @property
    def to_node(self) -> int:
        """Bytes that have crossed the link towards the node."""
        return _count(self.device, "tx_bytes")

    @property
    def from_node(self) -> int:
        """Bytes that have crossed the link from the node."""
        return _count(self.device, "rx_bytes")


@dataclass
class Links:
    """A switch (a bridge) with this machine at `address`, and links to nodes."""

    megabytes: float  # per second, in each direction of each link
    bridge: str
    prefix: str
    made: list[Link] = field(default_factory=list)

    @property
    def address(self) -> str:
        return f"{self.prefix}254"

    @property
    def from_here(self) -> int:
        """Bytes that this machine itself has sent to nodes."""
        return _count(self.bridge, "tx_bytes")

    def to(self, number: int) -> Link:
        """Make the network of a node, whose address ends with its number."""
        link = Link(f"{self.bridge}-{number}", f"{self.prefix}{number}", f"{self.bridge}p{number}")
        inside = ["ip", "netns", "exec", link.namespace]
        _run("ip", "netns", "add", link.namespace)
        self.made.append(link)
        end = ["peer", "name", "eth0", "netns", link.namespace]
        _run("ip", "link", "add", link.device, "type", "veth", *end)
        _run("ip", "link", "set", link.device, "master", self.bridge, "up")
        _run(*inside, "ip", "address", "add", f"{link.address}/24", "dev", "eth0")
        for device in ("lo", "eth0"):
            _run(*inside, "ip", "link", "set", device, "up")
        rate = ["rate", f"{self.megabytes * 8:g}mbit", "burst", "256kb", "latency", "300ms"]
        for where, device in ((inside, "eth0"), ([], link.device)):
            _run(*where, "tc", "qdisc", "add", "dev", device, "root", "tbf", *rate)
        return link

    def drop(self, link: Link) -> None:
        """Remove the network of a node that has gone."""
        self.made.remove(link)
        _run("ip", "netns", "delete", link.namespace)  # its end takes the other with it

    def remove(self) -> None:
        """Remove all of it."""
        for link in list(self.made):
            self.drop(link)
        _run("ip", "link", "delete", self.bridge)


@contextmanager
def linked(megabytes: float) -> Iterator[Links]:
    """Make a switch, for links of so many megabytes per second; all goes at the end."""
    number = os.getpid() % 60_000
    links = Links(megabytes, f"rs{number}", f"10.{64 + number // 250 % 64}.{number % 250}.")
    _run("ip", "link", "add", links.bridge, "type", "bridge")
    try:
        _run("ip", "address", "add", f"{links.address}/24", "dev", links.bridge)
        _run("ip", "link", "set", links.bridge, "up")
        yield links
    finally:
        links.remove()


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)


def _count(device: str, what: str) -> int:
    return int(Path(f"/sys/class/net/{device}/statistics/{what}").read_text())
