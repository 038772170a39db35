"""Which records an epoch draws from several datasets. Pure."""

import functools
import threading
from collections.abc import Mapping

import numpy as np

from babyvlm_jax.data.seeds import generator


def share(records: np.ndarray, fraction: float, name: str, seed: int) -> np.ndarray:
    """Some of a dataset's records, drawn; a smaller share is part of a larger one.

    Args:
        records: i64[n] their numbers, ascending.
        fraction: of them, above 0; at least one record stays.
        name: of the dataset.
        seed: of the run.

    Returns:
        i64[m] numbers, ascending.
    """
    if fraction == 1:
        return records
    drawn = generator(seed, 0, f"share {name}").permutation(records)
    return np.sort(drawn[: max(1, round(fraction * len(records)))])


class Mixture:
    """Draws from datasets in proportion to their weights.

    An epoch has as many draws as there are records. Each dataset is walked through
    its own permutation, reshuffled each time that it ends and carried over from epoch
    to epoch, so that no record comes twice before all of its dataset came once.

    Attributes:
        num_records: records to draw from.
        size: draws of an epoch.
    """

    def __init__(
        self, records: Mapping[str, np.ndarray], weights: Mapping[str, float], seed: int
    ):
        """
        Args:
            records: dataset name -> i64[n] the record numbers to draw from, n > 0.
            weights: dataset name -> share of the draws, any scale.
            seed: of the run.
        """
        self._names = tuple(sorted(weights))
        self._records = records
        self._seed = seed
        self.num_records = sum(len(records[name]) for name in self._names)
        share = self.num_records / sum(weights.values())
        self._counts = [max(1, round(weights[n] * share)) for n in self._names]
        self.size = sum(self._counts)

    def draws(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """(dataset number, record number), i64[size] each, of an epoch, shuffled.

        Datasets are numbered in the order of their names.
        """
        walks = [
            self._walk(name, epoch * count, (epoch + 1) * count)
            for name, count in zip(self._names, self._counts, strict=True)
        ]
        datasets = np.repeat(np.arange(len(walks)), self._counts)
        order = generator(self._seed, epoch, "mixture").permutation(self.size)
        return datasets[order], np.concatenate(walks)[order]

    def _walk(self, name, begin, end):
        size = len(self._records[name])
        passes = range(begin // size, -(-end // size))
        shuffled = [self._permutation(name, number) for number in passes]
        first = passes[0] * size
        return np.concatenate(shuffled)[begin - first : end - first]

    @functools.lru_cache(maxsize=16)  # noqa: B019 - lives as long as the run
    def _permutation(self, name, number):
        return generator(self._seed, number, f"walk {name}").permutation(
            self._records[name]
        )


class Walk:
    """The records of a run one after the other, an epoch behind an epoch.

    Attributes:
        size: records of an epoch.
    """

    def __init__(self, mixture: Mixture):
        self.size = mixture.size
        self._draws = functools.lru_cache(maxsize=2)(mixture.draws)
        self._lock = threading.Lock()  # or each thread would draw a new epoch

    def draws(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:
        """As `Mixture.draws`; the last epochs asked for are kept."""
        with self._lock:
            return self._draws(epoch)

    def record(self, position: int) -> tuple[int, int]:
        """(dataset number, record number) at a place in the run."""
        epoch, within = divmod(position, self.size)
        datasets, numbers = self.draws(epoch)
        return int(datasets[within]), int(numbers[within])

    def steps_per_epoch(self, batch_size: int) -> int:
        """Batches that show every record once, rounded up."""
        return -(-self.size // batch_size)
