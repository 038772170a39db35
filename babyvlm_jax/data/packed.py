"""The packed rows of a run: which records, in which row, at which step."""

import functools
import logging
import threading

import numpy as np

from babyvlm_jax.data import packing
from babyvlm_jax.data.config import Batch, DataConfig, process_places
from babyvlm_jax.data.lengths import record_lengths
from babyvlm_jax.data.mixture import Mixture
from babyvlm_jax.data.rows import collate
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.sources import ExampleSource
from babyvlm_jax.data.tokenizer import Tokenizer

_EMPTY_ROW = np.zeros(0, np.int64)


class Rows:
    """The packed rows of a run, by step.

    Every epoch has the same number of steps, that of the first. An epoch that packs
    into fewer rows ends with empty rows (a whole batch short: with its first rows
    again); of one that packs into more, the surplus waits for another epoch.

    Attributes:
        steps_per_epoch: batches of an epoch.
        num_steps: batches of the run; None = endless.
        stats: records, too_long, rows, steps_per_epoch, fill_tokens and fill_images
            of the first epoch.
    """

    def __init__(self, cfg: DataConfig):
        sources = [
            RecordSource(cfg.shards, name, cfg.split) for name in sorted(cfg.mixture)
        ]
        tokenizer = Tokenizer.load(cfg.tokenizer)
        self._cfg = cfg
        self._capacity = packing.Capacity(cfg.seq_len, cfg.max_images)
        self._lengths = [
            record_lengths(
                source, tokenizer, cfg.template, cfg.tokens_per_image, cfg.dedupe_images
            )
            for source in sources
        ]
        self._mixture = Mixture(
            {
                source.name: self._usable(source.name, lengths)
                for source, lengths in zip(sources, self._lengths, strict=True)
            },
            cfg.mixture,
            cfg.seed,
        )
        self._examples = ExampleSource(
            sources,
            tokenizer,
            cfg.template,
            cfg.tokens_per_image,
            cfg.image_size,
            cfg.dedupe_images,
            cfg.blank_images,
            cfg.cache_images * cfg.cache_images_mb * 2**20,
        )
        self._plan_lock = threading.Lock()
        self._pack = functools.lru_cache(maxsize=1)(self._pack_epoch)
        self._plan = functools.lru_cache(maxsize=2)(self._plan_epoch)
        first = self._pack(0)[2]
        self.steps_per_epoch = -(-len(first.rows) // cfg.batch_size)
        self.num_steps = cfg.repeats and cfg.repeats * self.steps_per_epoch
        self.stats = {
            "records": self._mixture.size,
            "too_long": sum(map(len, self._lengths)) - self._mixture.num_records,
            "rows": len(first.rows),
            "steps_per_epoch": self.steps_per_epoch,
            "fill_tokens": first.fill_tokens,
            "fill_images": first.fill_images,
        }

    def _usable(self, name, lengths):
        fit = packing.fits(lengths, self._capacity)
        packing.check_some_fit(lengths, fit, self._capacity, f"dataset {name!r}")
        if not fit.all():
            logging.warning(
                "dataset %r: %d of %d records are longer than a row of %d tokens and "
                "%d images and are left out",
                name,
                (~fit).sum(),
                len(fit),
                *self._capacity,
            )
        return np.flatnonzero(fit)

    def _pack_epoch(self, epoch):
        datasets, numbers = self._mixture.draws(epoch)
        lengths = np.empty((len(numbers), 2), np.int32)
        for dataset, known in enumerate(self._lengths):
            mine = datasets == dataset
            lengths[mine] = known[numbers[mine]]
        packed = packing.plan(lengths, self._capacity, self._cfg.seed, epoch)
        return datasets, numbers, packed

    def _plan_epoch(self, epoch):
        """(dataset numbers, record numbers, rows), rows for exactly the steps."""
        datasets, numbers, packed = self._pack(epoch)
        need = self.steps_per_epoch * self._cfg.batch_size
        rows = list(packed.rows[:need])
        rows += [_EMPTY_ROW] * (-len(rows) % self._cfg.batch_size)
        while len(rows) < need:
            rows += packed.rows[: need - len(rows)]
        return datasets, numbers, rows

    def row(self, step: int, place: int) -> list[tuple[int, int]]:
        """(dataset number, record number) of the records in one row of a batch."""
        epoch, within = divmod(step, self.steps_per_epoch)
        with self._plan_lock:  # or each thread would plan a new epoch
            datasets, numbers, rows = self._plan(epoch)
        members = rows[within * self._cfg.batch_size + place]
        return list(
            zip(datasets[members].tolist(), numbers[members].tolist(), strict=True)
        )

    def batch_at(
        self, step: int, process_index: int = 0, process_count: int = 1
    ) -> Batch:
        """This process's slice of the global batch of `step`.

        Args:
            step: from 0.
            process_index: which slice.
            process_count: how many; the batch does not depend on it.

        Returns:
            The row contract, batch_size / process_count rows.

        Raises:
            UserError: batch_size is not divisible, or a record is damaged.
        """
        places = process_places(self._cfg.batch_size, process_index, process_count)
        return collate(
            [
                [self._examples(*record) for record in self.row(step, place)]
                for place in places
            ],
            self._cfg.row_shape,
        )
