"""A curriculum: the steps of a run are divided among mixtures, one after the other.

Some tasks are learned in a jump that comes soon when they are trained by themselves
and late, or never, when they are a tenth of a mixture.
"""

import bisect
import dataclasses
import itertools

import numpy as np

from babyvlm_jax.data.config import Batch, DataConfig
from babyvlm_jax.data.identity import Facts
from babyvlm_jax.data.packed import Rows


class Lessons:
    """The rows of a run, by step, as `Rows`; each lesson is planned by itself.

    Attributes:
        sources: names of all datasets, in the order of their numbers.
        num_steps: batches of the run; None = endless.
        stats: that of each lesson.
        facts: what a resumed run must find again; see `identity`.
        features: as `Rows`.
    """

    def __init__(self, cfg: DataConfig):
        mixtures = [*(lesson["mixture"] for lesson in cfg.lessons), cfg.mixture]
        self._rows = [
            Rows(dataclasses.replace(cfg, lessons=(), mixture=mixture))
            for mixture in mixtures
        ]
        lengths = (lesson["steps"] for lesson in cfg.lessons)
        self.features = self._rows[-1].features
        self._starts = list(itertools.accumulate(lengths, initial=0))
        self.sources = cfg.datasets
        self._numbers = [
            np.array([self.sources.index(name) for name in rows.sources], np.int32)
            for rows in self._rows
        ]
        last = self._rows[-1].num_steps
        self.num_steps = last and self._starts[-1] + last
        self.stats = [rows.stats for rows in self._rows]
        self.facts = Facts.join([rows.facts for rows in self._rows])

    def _place(self, step):
        """(lesson, step within it); of 3 and 2 steps, step 4 is the second's 1."""
        lesson = bisect.bisect_right(self._starts, step) - 1
        return lesson, step - self._starts[lesson]

    def ids_at(self, step: int) -> list[str]:
        """As `Rows.ids_at`."""
        lesson, within = self._place(step)
        return self._rows[lesson].ids_at(within)

    def batch_at(
        self, step: int, process_index: int = 0, process_count: int = 1
    ) -> Batch:
        """As `Rows.batch_at`."""
        lesson, within = self._place(step)
        batch = self._rows[lesson].batch_at(within, process_index, process_count)
        return {**batch, "sources": self._numbers[lesson][batch["sources"]]}
