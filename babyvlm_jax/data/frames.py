"""Batches of single pictures, for the vision phase."""

import numpy as np

from babyvlm_jax.data.config import Batch, DataConfig, process_places
from babyvlm_jax.data.identity import digest, plan_facts
from babyvlm_jax.data.images import blank
from babyvlm_jax.data.mixture import Mixture, Walk, share
from babyvlm_jax.data.rows import decode
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.data.sources import ByteBudget
from babyvlm_jax.runtime.errors import UserError


class Frames:
    """The pictures of a run, one a record, by step; for the vision phase.

    Attributes:
        steps_per_epoch: batches that show every frame once, rounded up.
        num_steps: batches of the run; None = endless.
        stats: records and steps_per_epoch.
        facts: what a resumed run must find again; see `identity`.
    """

    def __init__(self, cfg: DataConfig):
        self._cfg = cfg
        self._sources = [
            RecordSource(cfg.shards, name, cfg.split) for name in sorted(cfg.mixture)
        ]
        numbers = {
            one.name: share(np.arange(len(one)), cfg.fraction, one.name, cfg.seed)
            for one in self._sources
        }
        self._walk = Walk(Mixture(numbers, cfg.weights, cfg.seed))
        self._pictures = PictureSource(
            self._sources,
            cfg.image_size,
            cfg.blank_images,
            cfg.cache_images * cfg.cache_images_mb * 2**20,
            cfg.scaled_decode,
        )
        self.steps_per_epoch = self._walk.steps_per_epoch(cfg.batch_size)
        self.num_steps = cfg.repeats and cfg.repeats * self.steps_per_epoch
        self.stats = {
            "records": self._walk.size,
            "steps_per_epoch": self.steps_per_epoch,
        }
        self.facts = plan_facts(self._sources, "", digest(*self._walk.draws(0)))

    def batch_at(
        self, step: int, process_index: int = 0, process_count: int = 1
    ) -> Batch:
        """{"images": u8[B, H, W, 3]}: this process's slice of the batch of `step`."""
        places = process_places(self._cfg.batch_size, process_index, process_count)
        images = [self._frame(step * self._cfg.batch_size + i) for i in places]
        return {"images": np.stack(images)}

    def ids_at(self, step: int) -> list[str]:
        """Ids of the records in the global batch of `step`."""
        size = self._cfg.batch_size
        records = [self._walk.record(step * size + i) for i in range(size)]
        return [self._sources[source].read([i])[0].id for source, i in records]

    def _frame(self, position):
        return self._pictures(*self._walk.record(position))


class PictureSource:
    """Reads and decodes the first picture of each record."""

    def __init__(
        self,
        sources: list[RecordSource],
        image_size: int,
        blank_images: bool,
        cache_bytes: int,
        scaled_decode: bool = False,
    ):
        """
        Args:
            sources: the datasets, by number.
            image_size: side of the decoded pictures.
            blank_images: show the mean colour instead of every picture.
            cache_bytes: room for decoded pictures; 0 decodes again each time.
            scaled_decode: as in `images.preprocess`.
        """
        self._sources = sources
        self._image_size = image_size
        self._scaled_decode = scaled_decode
        self._blank = blank(image_size) if blank_images else None
        self._pictures = ByteBudget(cache_bytes)

    def __call__(self, dataset: int, number: int) -> np.ndarray:
        """u8[H, W, 3] of record `number` of dataset `dataset`.

        Raises:
            UserError: damaged shard or picture, or a record without pictures.
        """
        if self._blank is not None:
            return self._blank
        key = (dataset, number)
        picture = self._pictures.get(key)
        if picture is None:
            record = self._sources[dataset][number]
            if not record.images:
                raise UserError(
                    f"record {record.id!r} of dataset {self._sources[dataset].name!r} "
                    "has no picture; the vision phase needs a dataset of frames"
                )
            picture = decode(
                record.id, record.images[:1], self._image_size, self._scaled_decode
            )[0]
            self._pictures.put(key, picture, picture.nbytes)
        return picture
