"""Nodes of a one-machine cluster: each is a separate raylet with its own loopback address.

An external node provider for Ray's autoscaler. The built-in `fake_multinode` type needs a file
that Ray's wheel lacks, and gives all nodes one address, so that Ray Train takes them for one node.
"""

from __future__ import annotations

import copy
import json
import os
from typing import Any

os.environ.setdefault("RAY_FAKE_CLUSTER", "1")  # Ray's class refuses to work without it

from ray._private import ray_constants
from ray._private.node import Node
from ray._private.parameter import RayParams
from ray.autoscaler._private.fake_multi_node.node_provider import FakeMultiNodeProvider
from ray.autoscaler.tags import (
    NODE_KIND_WORKER,
    STATUS_UP_TO_DATE,
    TAG_RAY_NODE_KIND,
    TAG_RAY_NODE_NAME,
    TAG_RAY_NODE_STATUS,
    TAG_RAY_USER_NODE_TYPE,
)

OBJECT_STORE_BYTES = 100_000_000


class LocalNodes(FakeMultiNodeProvider):
    """Starts and ends raylets in the session of the head's monitor."""

    def _create_node_with_resources_and_labels(
        self,
        node_config: dict[str, Any],
        tags: dict[str, str],
        count: int,
        resources: dict[str, Any],
        labels: dict[str, str] | None,
    ) -> None:
        with self.lock:
            name = self._next_hex_node_id()
            node = Node(
                self._parameters(name, tags, copy.deepcopy(resources), dict(labels or {})),
                head=False,
                shutdown_at_exit=False,
                spawn_reaper=False,
            )
            mine = {
                TAG_RAY_NODE_KIND: NODE_KIND_WORKER,
                TAG_RAY_NODE_NAME: name,
                TAG_RAY_NODE_STATUS: STATUS_UP_TO_DATE,
            }
            self._nodes[name] = {"tags": {**mine, **tags}, "node": node}

    def _parameters(
        self, name: str, tags: dict[str, str], resources: dict[str, Any], labels: dict[str, str]
    ) -> RayParams:
        subnet = self.provider_config["subnet"]  # "127.0.3.": the nodes are 127.0.3.1, .2, ...
        cpus, gpus = resources.pop("CPU", 0), resources.pop("GPU", 0)
        return RayParams(
            gcs_address=self._gcs_address,
            redis_address=self._gcs_address,
            node_ip_address=f"{subnet}{self._next_node_id}",
            min_worker_port=0,
            max_worker_port=0,
            dashboard_port=None,
            dashboard_agent_listen_port=0,
            num_cpus=cpus,
            num_gpus=gpus,
            object_store_memory=resources.pop("object_store_memory", OBJECT_STORE_BYTES),
            resources=resources,
            labels=labels,
            # Separate: each node's agent unpacks a job's working_dir anew, and would take the files
            # away from the driver that runs in them.
            runtime_env_dir_name=f"{ray_constants.DEFAULT_RUNTIME_ENV_DIR_NAME}-{name}",
            env_vars={
                "RAY_OVERRIDE_NODE_ID_FOR_TESTING": name,
                "RAY_CLOUD_INSTANCE_ID": name,
                "RAY_NODE_TYPE_NAME": tags[TAG_RAY_USER_NODE_TYPE],
                ray_constants.RESOURCES_ENVIRONMENT_VARIABLE: json.dumps(resources),
                ray_constants.LABELS_ENVIRONMENT_VARIABLE: json.dumps(labels),
            },
        )
