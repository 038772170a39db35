"""From datasets on disk to batches: the batch at step s depends on (config, s) alone.

Nothing here is an iterator with a state: rows are planned an epoch at a time, and any
step's batch, or any process's slice of it, can be asked for directly.
"""

import sys
from collections.abc import Iterator

import grain

from babyvlm_jax.data.config import Batch, DataConfig, process_places
from babyvlm_jax.data.frames import Frames
from babyvlm_jax.data.lessons import Lessons
from babyvlm_jax.data.packed import Rows
from babyvlm_jax.data.pairs import Pairs


def make_rows(cfg: DataConfig) -> Rows | Lessons:
    """Opens the datasets and plans the first epoch of each lesson.

    Batches come from `prefetched`, or for one step from `Rows.batch_at`.

    Raises:
        UserError: a dataset, split or tokenizer is missing or damaged, or no record
            of a dataset fits a row.
    """
    return Lessons(cfg) if cfg.lessons else Rows(cfg)


def prefetched(
    rows: Rows | Lessons | Frames | Pairs,
    cfg: DataConfig,
    start_step: int,
    process_index: int = 0,
    process_count: int = 1,
) -> Iterator[tuple[int, Batch]]:
    """(step, batch) of `rows` from `start_step` on, made ahead by threads."""
    process_places(cfg.batch_size, process_index, process_count)
    stop = sys.maxsize if rows.num_steps is None else rows.num_steps
    if start_step >= stop:
        return iter(())

    def at(step):
        return step, rows.batch_at(step, process_index, process_count)

    options = grain.ReadOptions(
        num_threads=cfg.num_threads, prefetch_buffer_size=cfg.prefetch
    )
    steps = grain.MapDataset.range(start_step, stop)
    return iter(steps.map(at).to_iter_dataset(options))
