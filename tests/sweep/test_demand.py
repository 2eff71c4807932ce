from __future__ import annotations

from raysleeper.sweep.demand import HELD_BACK_S, LONGEST_PAUSE_S, NOTICED_S, PAUSE_S, Demand

CPUS = 8.0


def asked() -> Demand:
    """A demand that stands since second 100."""
    demand = Demand(size=CPUS)
    assert not demand.wanted(100 - HELD_BACK_S, CPUS, held_back=True, granted=False)
    assert demand.wanted(100, CPUS, held_back=True, granted=False)
    return demand


def next_asked(demand: Demand, after: int) -> int:
    """The second in which room is asked for again, where stages are held back all the while."""
    looks = range(after + 1, after + 10_000)
    return next(t for t in looks if demand.wanted(t, demand.size, held_back=True, granted=False))


def test_a_demand_stands_until_it_is_granted() -> None:
    demand = asked()
    assert demand.wanted(500, CPUS, held_back=True, granted=False)
    assert not demand.wanted(501, CPUS, held_back=True, granted=True)


def test_a_moment_without_waiting_stages_ends_the_demand() -> None:
    demand = asked()
    assert not demand.wanted(101, CPUS, held_back=False, granted=False)
    assert next_asked(demand, 101) == 102 + HELD_BACK_S


def test_a_cluster_that_grew_is_asked_again_soon() -> None:
    demand = asked()
    assert not demand.wanted(130, 2 * CPUS, held_back=True, granted=True)
    assert next_asked(demand, 130) == 130 + HELD_BACK_S


def test_short_stages_that_grant_a_demand_at_once_never_lengthen_the_pause() -> None:
    demand, now = asked(), 100
    for _ in range(20):
        granted = now + 1
        assert granted - now < NOTICED_S
        assert not demand.wanted(granted, CPUS, held_back=True, granted=True)
        now = next_asked(demand, granted)
        assert now == granted + PAUSE_S


def test_an_autoscaler_that_saw_the_demand_and_brought_nothing_is_asked_ever_less() -> None:
    demand, now, pauses = asked(), 100, []
    for _ in range(8):
        granted = now + int(NOTICED_S)
        assert not demand.wanted(granted, CPUS, held_back=True, granted=True)
        now = next_asked(demand, granted)
        pauses.append(now - granted)
    assert pauses[:3] == [PAUSE_S, 2 * PAUSE_S, 4 * PAUSE_S]
    assert pauses[-1] == LONGEST_PAUSE_S


def test_a_node_that_comes_late_ends_the_pause() -> None:
    demand = asked()
    for now in (200, 600, 1200):
        demand.wanted(now, CPUS, held_back=True, granted=True)
        next_asked(demand, now)
    assert not demand.wanted(2001, CPUS + 1, held_back=True, granted=False)
    assert next_asked(demand, 2001) == 2001 + HELD_BACK_S
