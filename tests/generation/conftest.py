"""Tiny models that are asked."""

from __future__ import annotations

from tests.evals.conftest import context, organism, random_model, rows, tokenizer
from tests.training.conftest import model_dir

__all__ = ["context", "model_dir", "organism", "random_model", "rows", "tokenizer"]
