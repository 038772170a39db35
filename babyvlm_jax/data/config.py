"""What a run trains on: the settings of the data pipeline, checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from babyvlm_jax.data.rows import RowShape
from babyvlm_jax.data.templates import TEMPLATES
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.fields import SEED, FieldError, Settings, field, from_dict

Batch = dict[str, np.ndarray]

ROWS = ("packed", "single", "length_grouped")


@dataclasses.dataclass(frozen=True)
class Lesson(Settings):
    """So many steps of a mixture of their own."""

    steps: int = field(ge=1)
    mixture: Mapping[str, float] = field(gt=0, le=1e9, filled=True)


@dataclasses.dataclass(frozen=True)
class DataConfig(Settings):
    """What a run trains on.

    Attributes:
        shards: folder of the datasets.
        tokenizer: sentencepiece model file.
        mixture: dataset name -> weight, any scale.
        lessons: what comes before: ({"steps": N, "mixture": {...}}, ...), in order.
        fraction: share of each dataset that there is to draw from: a study of data
            size keeps `num_steps`, and with it the number of examples seen. Which
            records depends on the seed; those of a smaller share are in a larger one.
        temperature: datasets are drawn in proportion to weight ** (1 / temperature);
            above 1 it lifts the small ones.
        split: of every dataset.
        template: a name in `templates.TEMPLATES`.
        batch_size: rows of the global batch (frames, in the vision phase).
        seq_len: tokens of a row.
        record_len: tokens of a record, at most; a longer one is cut after a turn, as at
            the end of a row. 0: as a row. A decoder that learns its positions has no
            more of them than its max_len, while rows of short records may be longer.
        max_images: image slots of a row; 0 for text.
        image_size: side of the pictures in pixels.
        tokens_per_image: visual tokens that a picture takes.
        rows: `packed`; `single`, one record a row; or `length_grouped`, one record a
            row and a batch's records of similar length, as the original.
        seed: of shuffling.
        blank_images: control run: every picture is the mean colour.
        dedupe_images: identical pictures of a record share their visual tokens.
        features: folder of the frozen encoder's features (`babyvlm_jax.features`),
            read instead of pictures; empty encodes pictures in the step.
        scaled_decode: decode large JPEGs at a fraction of their size: faster, and the
            pixels differ a little.
        num_threads: threads that make batches ahead; 0 makes them when asked.
        prefetch: batches made ahead.
        cache_images: keep decoded pictures in memory.
        cache_images_mb: room for them.
        repeats: epochs; None = endless.
        only: for `tests.benchmarks.alone`: batches are made, no step runs.
        synthetic: for benchmarks: one made-up batch, nothing is read.
    """

    shards: str
    tokenizer: str
    mixture: Mapping[str, float] = field(gt=0, le=1e9, filled=True)
    lessons: tuple[Mapping[str, Any], ...] = ()
    split: str = field("train", filled=True)
    fraction: float = field(1.0, gt=0, le=1)
    temperature: float = field(1.0, gt=0, le=1e6)
    template: str = field("baby_v1", one_of=tuple(TEMPLATES))
    batch_size: int = field(32, ge=1)
    seq_len: int = field(1024, ge=1)
    record_len: int = field(0, ge=0)
    max_images: int = field(8, ge=0)
    image_size: int = field(224, ge=1)
    tokens_per_image: int = field(197, ge=1)
    rows: str = field("packed", one_of=ROWS)
    seed: int = field(0, **SEED)
    blank_images: bool = False
    dedupe_images: bool = True
    features: str = ""
    scaled_decode: bool = False
    num_threads: int = field(2, ge=0)
    prefetch: int = field(4, ge=0)
    cache_images: bool = True
    cache_images_mb: int = field(1024, ge=0)
    repeats: int | None = field(None, ge=1)
    only: bool = False
    synthetic: bool = False

    def check(self) -> None:
        for place, lesson in enumerate(self.lessons):
            from_dict(Lesson, lesson, f"lessons[{place}]")
        if self.only and self.synthetic:
            raise FieldError("only", "and synthetic leave nothing to measure")
        if self.features and (self.blank_images or self.synthetic):
            raise FieldError(
                "features",
                "leaves nothing to blank_images and synthetic, which make up pictures; "
                "set features='' beside them",
            )

    @property
    def datasets(self) -> tuple[str, ...]:
        """Names of all datasets, sorted: the order of their numbers."""
        mixtures = [self.mixture, *(lesson["mixture"] for lesson in self.lessons)]
        return tuple(sorted(set().union(*mixtures)))

    @property
    def weights(self) -> dict[str, float]:
        """Dataset name -> share of the draws, any scale, by name."""
        # exactly the given weights at temperature 1
        if self.temperature == 1:
            return dict(sorted(self.mixture.items()))
        power, top = 1 / self.temperature, max(self.mixture.values())
        return {n: (w / top) ** power for n, w in sorted(self.mixture.items())}

    @property
    def longest_record(self) -> int:
        """Tokens of a record, at most."""
        return min(self.record_len or self.seq_len, self.seq_len)

    @property
    def row_shape(self) -> RowShape:
        return RowShape(
            self.seq_len, self.max_images, self.image_size, self.tokens_per_image
        )


def process_places(batch_size: int, process_index: int, process_count: int) -> range:
    """Rows of the global batch that one process makes.

    Raises:
        UserError: the batch cannot be divided equally.
    """
    if batch_size % process_count:
        raise UserError(
            f"data.batch_size={batch_size} is not divisible by {process_count} "
            f"processes; use a multiple of {process_count}"
        )
    share = batch_size // process_count
    return range(process_index * share, (process_index + 1) * share)
