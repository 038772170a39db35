"""The rows of a run: which records, in which row, at which step."""

import functools
import itertools
import logging
import threading

import numpy as np

from babyvlm_jax.data import orders, packing
from babyvlm_jax.data.config import Batch, DataConfig, process_places
from babyvlm_jax.data.features import FeatureStore
from babyvlm_jax.data.identity import digest, plan_facts
from babyvlm_jax.data.lengths import Lengths, record_stops
from babyvlm_jax.data.mixture import Mixture, share
from babyvlm_jax.data.rows import collate
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.sources import ExampleSource
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError

# ours: an epoch that packs into too many rows is packed again, ever more tightly
WIDER = (1, 4, 16, 64)


class Rows:
    """The rows of a run, by step.

    Every epoch has the same number of steps, that of the first, and holds each record
    drawn once. An epoch that packs into fewer rows has empty ones towards its end; one
    that packs into more is packed more tightly.

    Attributes:
        sources: names of the datasets, in the order of their numbers.
        steps_per_epoch: batches of an epoch.
        num_steps: batches of the run; None = endless.
        stats: records, too_long, truncated, mute (no known word in an answer), rows,
            steps_per_epoch, fill_tokens and fill_images of the first epoch.
        facts: what a resumed run must find again; see `identity`.
        features: the store that pictures' features are read from, or None.
    """

    def __init__(self, cfg: DataConfig):
        sources = [
            RecordSource(cfg.shards, name, cfg.split) for name in sorted(cfg.mixture)
        ]
        tokenizer = Tokenizer.load(cfg.tokenizer)
        encoding = (tokenizer, cfg.template, cfg.tokens_per_image)
        self._cfg = cfg
        self._capacity = packing.Capacity(cfg.seq_len, cfg.max_images)
        room = packing.Capacity(cfg.longest_record, cfg.max_images)  # of a record
        measured = [
            record_stops(source, *encoding, cfg.dedupe_images).in_rows(room)
            for source in sources
        ]
        self.features = FeatureStore(cfg.features) if cfg.features else None
        self._sizes = [lengths.sizes for lengths in measured]
        usable = {
            source.name: share(
                _usable(source, lengths, room),
                cfg.fraction,
                source.name,
                cfg.seed,
            )
            for source, lengths in zip(sources, measured, strict=True)
        }
        self._mixture = Mixture(usable, cfg.weights, cfg.seed)
        self._examples = ExampleSource(
            sources,
            *encoding,
            cfg.image_size,
            cfg.dedupe_images,
            cfg.blank_images,
            cfg.cache_images * cfg.cache_images_mb * 2**20,
            room,
            cfg.scaled_decode,
            self.features,
        )
        self._row_shape = cfg.row_shape
        if self.features is not None:
            self._row_shape = cfg.row_shape._replace(features=self.features.shape)
        self._plan_lock = threading.Lock()
        self._plan = functools.lru_cache(maxsize=2)(self._plan_epoch)
        datasets, numbers, first = self._pack_epoch(0)
        self.sources = tuple(source.name for source in sources)
        self.steps_per_epoch = -(-len(first.rows) // cfg.batch_size)
        self.num_steps = cfg.repeats and cfg.repeats * self.steps_per_epoch
        self.stats = {
            "records": self._mixture.size,
            "too_long": sum(
                int((~packing.fits(sizes, room)).sum()) for sizes in self._sizes
            ),
            "truncated": sum(int(one.truncated.sum()) for one in measured),
            "mute": sum(int((~one.teaches).sum()) for one in measured),
            "rows": len(first.rows),
            "steps_per_epoch": self.steps_per_epoch,
            "fill_tokens": first.fill_tokens,
            "fill_images": first.fill_images,
        }
        self.facts = plan_facts(
            sources,
            tokenizer.fingerprint,
            digest(datasets, numbers, *first.rows, *map(len, first.rows)),
        )

    def _drawn(self, epoch):
        datasets, numbers = self._mixture.draws(epoch)
        lengths = np.empty((len(numbers), 2), np.int32)
        for dataset, known in enumerate(self._sizes):
            mine = datasets == dataset
            lengths[mine] = known[numbers[mine]]
        return datasets, numbers, lengths

    def _pack_epoch(self, epoch, num_rows=None):
        """(dataset numbers, record numbers, plan in at most `num_rows` rows)."""
        datasets, numbers, lengths = self._drawn(epoch)
        order = (lengths, self._capacity, self._cfg.seed, epoch)
        if self._cfg.rows == "single":
            return datasets, numbers, orders.single(*order)
        if self._cfg.rows == "length_grouped":
            grouped = orders.length_grouped(*order, self._cfg.batch_size)
            return datasets, numbers, grouped
        for wider in WIDER:
            made = packing.plan(*order, window=wider * packing.WINDOW)
            if num_rows is None:
                return datasets, numbers, made
            fitting = packing.squeeze(made, lengths, self._capacity, num_rows)
            if fitting is not None:
                return datasets, numbers, fitting
        return datasets, numbers, made

    def _plan_epoch(self, epoch):
        """(dataset numbers, record numbers, rows), rows for exactly the steps."""
        size = self._cfg.batch_size
        need = self.steps_per_epoch * size
        datasets, numbers, packed = self._pack_epoch(epoch, need)
        if len(packed.rows) > need:
            logging.warning(
                "epoch %d has %d rows but steps for %d: the others wait for another "
                "epoch; a larger data.batch_size leaves more room",
                epoch,
                len(packed.rows),
                need,
            )
        rows = packing.spread(packed.rows[:need], self.steps_per_epoch, size)
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

    def ids_at(self, step: int) -> list[str]:
        """Ids of the records in the global batch of `step`."""
        places = range(self._cfg.batch_size)
        records = [record for place in places for record in self.row(step, place)]
        return [example.encoded.id for example in self._examples(records)]

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
            UserError: batch_size is not divisible, a record is damaged, or there are
                records but nothing in them to learn.
        """
        places = process_places(self._cfg.batch_size, process_index, process_count)
        rows = [self.row(step, place) for place in places]
        examples = iter(self._examples([record for row in rows for record in row]))
        laid = [[next(examples) for _ in row] for row in rows]
        for example in itertools.chain.from_iterable(laid):
            if not example.encoded.loss_mask.any():
                raise UserError(
                    f"record {example.encoded.id!r} of step {step} has no supervised "
                    "token, though it had when it was measured: shards or tokenizer "
                    "were changed under the run; start it again"
                )
        return collate(laid, self._row_shape)


def _usable(
    source: RecordSource, lengths: Lengths, capacity: packing.Capacity
) -> np.ndarray:
    """i64[n] the records to train on; tells of the others, and of those cut short.

    Raises:
        UserError: there is none.
    """
    name = f"dataset {source.name!r}"
    fit = packing.fits(lengths.sizes, capacity)
    packing.check_some_fit(lengths.sizes, fit, capacity, name)
    if not fit.all() or lengths.truncated.any():
        logging.warning(
            "%s: %d of %d records are longer than a row of %d tokens and %d images and "
            "are left out; %d lose their last turns",
            name,
            (~fit).sum(),
            len(fit),
            *capacity,
            lengths.truncated.sum(),
        )
    mute = np.flatnonzero(fit & ~lengths.teaches)
    why = (
        f"{name}: {len(mute)} of {len(fit)} records have nothing to learn: no answer, "
        "or only words that the tokenizer does not know (the first: "
        f"{[source[i].id for i in mute[:3].tolist()]})"
    )
    usable = np.flatnonzero(fit & lengths.teaches)
    if not len(usable):
        raise UserError(f"{why}; check the tokenizer, the template and the answers")
    if len(mute):
        logging.warning("%s; they are left out", why)
    return usable
