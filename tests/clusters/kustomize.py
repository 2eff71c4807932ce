"""A small kustomize: what the shipped overlays use of it, and an error for anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

KNOWN = {"apiVersion", "kind", "resources", "images", "patches", "configMapGenerator",
         "generatorOptions"}  # fmt: skip


def render(folder: Path) -> list[dict[str, Any]]:
    """The objects of an overlay with its patches, images and generated files."""
    spec = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert not spec.keys() - KNOWN, f"{folder}: this renderer lacks {spec.keys() - KNOWN}"
    objects: list[dict[str, Any]] = []
    for name in spec["resources"]:
        path = folder / name
        objects += render(path) if path.is_dir() else list(yaml.safe_load_all(path.read_text()))
    for generator in spec.get("configMapGenerator", ()):
        assert spec["generatorOptions"] == {"disableNameSuffixHash": True}
        data = {file: (folder / file).read_text() for file in generator["files"]}
        meta = {"name": generator["name"]}
        objects.append({"apiVersion": "v1", "data": data, "kind": "ConfigMap", "metadata": meta})
    for patch in spec.get("patches", ()):
        kind, name = patch["target"]["kind"], patch["target"]["name"]
        [target] = [o for o in objects if (o["kind"], o["metadata"]["name"]) == (kind, name)]
        for operation in yaml.safe_load(patch["patch"]):
            _apply(target, operation)
    for image in spec.get("images", ()):
        for each in objects:
            _set_image(each, image)
    return objects


def _apply(target: Any, operation: dict[str, Any]) -> None:
    """One operation of RFC 6902: add, replace or remove."""
    parts = operation["path"].lstrip("/").split("/")
    *way, last = [part.replace("~1", "/").replace("~0", "~") for part in parts]
    for part in way:
        target = target[int(part) if isinstance(target, list) else part]
    if isinstance(target, list):
        assert (operation["op"], last) == ("add", "-"), "this renderer only appends to lists"
        target.append(operation["value"])
        return
    assert operation["op"] == "add" or last in target, operation
    if operation["op"] == "remove":
        del target[last]
    else:
        target[last] = operation["value"]


def _set_image(value: Any, image: dict[str, str]) -> None:
    if isinstance(value, list):
        for each in value:
            _set_image(each, image)
    elif isinstance(value, dict):
        for container in value.get("containers", ()):
            if container["image"].rpartition(":")[0] == image["name"]:
                container["image"] = f"{image['newName']}:{image['newTag']}"
        for each in value.values():
            _set_image(each, image)
