"""What a run trains on: the settings of the data pipeline, checked."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from babyvlm_jax.data.rows import RowShape
from babyvlm_jax.data.templates import check_template
from babyvlm_jax.errors import UserError

Batch = dict[str, np.ndarray]

ROWS = ("packed", "single", "length_grouped")

# field -> least value that makes sense
_LEAST = {
    "batch_size": 1,
    "seq_len": 1,
    "max_images": 0,
    "image_size": 1,
    "tokens_per_image": 1,
    "seed": 0,
    "num_threads": 0,
    "prefetch": 0,
    "cache_images_mb": 0,
}


@dataclasses.dataclass(frozen=True)
class DataConfig:
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
        only: measure the loader alone: batches are made, no step runs.
        synthetic: measure the step alone: one made-up batch, nothing is read.
    """

    shards: str
    tokenizer: str
    mixture: Mapping[str, float]
    lessons: tuple[Mapping[str, Any], ...] = ()
    split: str = "train"
    fraction: float = 1.0
    temperature: float = 1.0
    template: str = "baby_v1"
    batch_size: int = 32
    seq_len: int = 1024
    max_images: int = 8
    image_size: int = 224
    tokens_per_image: int = 197
    rows: str = "packed"
    seed: int = 0
    blank_images: bool = False
    dedupe_images: bool = True
    features: str = ""
    scaled_decode: bool = False
    num_threads: int = 2
    prefetch: int = 4
    cache_images: bool = True
    cache_images_mb: int = 1024
    repeats: int | None = None
    only: bool = False
    synthetic: bool = False

    def __post_init__(self):
        _check_mixture(self.mixture)
        for lesson in self.lessons:
            if set(lesson) != {"steps", "mixture"} or lesson["steps"] < 1:
                raise UserError(
                    f"data.lessons holds {dict(lesson)}; a lesson is "
                    '{"steps": 1 or more, "mixture": {...}}'
                )
            _check_mixture(lesson["mixture"])
        if not 0 < self.fraction <= 1:  # NaN fails too
            raise UserError(
                f"data.fraction is {self.fraction}; give a share above 0, at most 1"
            )
        if not (self.temperature > 0 and math.isfinite(self.temperature)):
            raise UserError(
                f"data.temperature is {self.temperature}; give a positive number, 1 "
                "for the weights as they are"
            )
        check_template(self.template)
        if self.rows not in ROWS:
            raise UserError(f"data.rows {self.rows!r} is not one of {ROWS}")
        if self.only and self.synthetic:
            raise UserError("data.only and data.synthetic leave nothing to measure")
        if self.features and (self.blank_images or self.synthetic):
            raise UserError(
                "data.features leaves nothing to data.blank_images and data.synthetic, "
                "which make up pictures; set data.features='' beside them"
            )
        for field, least in _LEAST.items():
            if getattr(self, field) < least:
                raise UserError(
                    f"data.{field} is {getattr(self, field)}; it must be >= {least}"
                )
        if self.repeats is not None and self.repeats < 1:
            raise UserError(f"data.repeats is {self.repeats}; give >= 1, or None")

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
    def row_shape(self) -> RowShape:
        return RowShape(
            self.seq_len, self.max_images, self.image_size, self.tokens_per_image
        )


def _check_mixture(mixture: Mapping[str, float]) -> None:
    if not mixture:
        raise UserError("the mixture is empty; give at least one dataset a weight")
    for name, weight in mixture.items():
        if not (weight > 0 and math.isfinite(weight)):
            raise UserError(
                f"dataset {name!r} has weight {weight}; give a positive number or "
                "leave the dataset out"
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
