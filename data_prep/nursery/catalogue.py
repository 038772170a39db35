"""Which things exist, which of them each split may show, and what they look like.

The drawn world: an instance is a category, a base colour, a mark (colour, kind, side)
and a size. Pairs of base and mark colour are divided over the splits per category, so
an instance of val or test never occurs in train, in whatever size.
"""

import dataclasses
import functools
import itertools

import numpy as np
from PIL import Image

from babyvlm_jax.runtime.errors import UserError
from data_prep.nursery import marks, shapes

SPLITS = ("train", "val", "test")
SIZES = {"small": 0.75, "medium": 1.0, "large": 1.3}  # of a medium thing's length


@dataclasses.dataclass(frozen=True)
class Thing:
    """One instance that can stand in a room.

    Attributes:
        category: singular noun.
        size: a key of `SIZES`.
        colour: base colour, None for a cut-out picture.
        mark: (colour, kind, side) of the mark, None for a cut-out picture.
        caption: how a cut-out picture is called ("a red apple").
        picture: file of a cut-out picture.
    """

    category: str
    size: str
    colour: str | None = None
    mark: tuple[str, str, str] | None = None
    caption: str | None = None
    picture: str | None = None

    @property
    def instance_id(self) -> str:
        if self.mark is None:
            parts = [self.category, self.picture.rsplit(".", 1)[0], self.size]
        else:
            parts = [self.category, self.colour, "-".join(self.mark), self.size]
        return "_".join(part.replace(" ", "-").replace("/", "-") for part in parts)


@functools.cache
def _mark_colours(seed: int, category: str, colour: str) -> dict[str, tuple[str, ...]]:
    """Divides the mark colours of a base colour: one val, two test, four train."""
    key = [seed, *f"{category}/{colour}".encode()]
    others = [name for name in shapes.COLOURS if name != colour]
    order = [others[i] for i in np.random.default_rng(key).permutation(len(others))]
    return {
        "val": tuple(order[:1]),
        "test": tuple(order[1:3]),
        "train": tuple(order[3:]),
    }


@dataclasses.dataclass(frozen=True)
class DrawnWorld:
    """The world of procedural drawings, the first `num_categories` of them."""

    seed: int
    num_categories: int

    def __post_init__(self):
        if not 4 <= self.num_categories <= len(shapes.DRAWINGS):
            raise UserError(
                f"--categories={self.num_categories}: the drawn world has from 4 to "
                f"{len(shapes.DRAWINGS)} categories; give a number in between"
            )

    @property
    def categories(self) -> tuple[str, ...]:
        return tuple(itertools.islice(shapes.DRAWINGS, self.num_categories))

    @property
    def colours(self) -> tuple[str, ...]:
        return tuple(shapes.COLOURS)

    def sample(self, category: str, split: str, rng: np.random.Generator) -> Thing:
        """Draws an instance of a category that `split` may show."""
        colour = str(rng.choice(self.colours))
        allowed = _mark_colours(self.seed, category, colour)[split]
        mark = (
            str(rng.choice(allowed)),
            str(rng.choice(marks.KINDS)),
            str(rng.choice(marks.SIDES)),
        )
        size = str(rng.choice(tuple(SIZES)))
        return Thing(category=category, size=size, colour=colour, mark=mark)

    def picture(self, thing: Thing) -> Image.Image:
        """The thing's RGBA picture, cropped to it."""
        return shapes.draw(thing.category, thing.colour, thing.mark)
