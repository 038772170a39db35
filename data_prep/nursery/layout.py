"""Where things stand: a jittered grid of cells on the large plane that is a room.

Lengths are in cells; the plane's origin is its top left corner. The upper rows are wall
shelves, the lower ones the floor.
"""

import dataclasses

import numpy as np

from data_prep.nursery.catalogue import SIZES, SPLITS, Thing

COLUMNS, ROWS = 4, 4
MARGIN = 2.0  # blank wall and floor around the grid, for the camera to look away to
WIDTH, HEIGHT = COLUMNS + 2 * MARGIN, ROWS + 2 * MARGIN
HORIZON = MARGIN + ROWS / 2  # wall above, floor below
_LENGTH = 0.66  # longer side of a medium thing
_JITTER = 0.06
_EMPTY = 0.06  # of the cells stay empty
_GROUP_SIZES = (2, 3, 4)


@dataclasses.dataclass(frozen=True)
class Placed:
    """A thing, its cell, the place of its centre and its longer side."""

    thing: Thing
    column: int
    row: int
    x: float
    y: float
    length: float


@dataclasses.dataclass(frozen=True)
class Scene:
    """All that stands in a room during one recording."""

    placed: tuple[Placed, ...]

    def at(self, column: int, row: int) -> Placed | None:
        """What stands in a cell."""
        return next(
            (p for p in self.placed if (p.column, p.row) == (column, row)), None
        )

    def count(self, category: str) -> int:
        """How many things of a category the room holds."""
        return sum(p.thing.category == category for p in self.placed)


def _groups(rng: np.random.Generator) -> list[list[tuple[int, int]]]:
    """Cells for things of one kind: two to four in two quarters of the grid."""
    quarters = [(c, r) for r in range(0, ROWS, 2) for c in range(0, COLUMNS, 2)]
    groups = []
    for index in rng.choice(len(quarters), 2, replace=False):
        column, row = quarters[index]
        square = [(column + i, row + j) for j in (0, 1) for i in (0, 1)]
        chosen = rng.choice(len(square), rng.choice(_GROUP_SIZES), replace=False)
        groups.append([square[i] for i in sorted(chosen)])
    return groups


def _categories(world, rng: np.random.Generator) -> dict[tuple[int, int], str]:
    """Gives each filled cell a category; outside the groups at best once each."""
    order = [world.categories[i] for i in rng.permutation(len(world.categories))]
    groups = _groups(rng)
    cells = {}
    for group, category in zip(groups, order[: len(groups)], strict=True):
        cells.update(dict.fromkeys(group, category))
    single = order[len(groups) :]
    rest = [(c, r) for r in range(ROWS) for c in range(COLUMNS) if (c, r) not in cells]
    for index, cell in enumerate(rest):
        if rng.random() >= _EMPTY:
            cells[cell] = single[index % len(single)]
    return cells


def make_scene(world, split: str, rng: np.random.Generator) -> Scene:
    """Furnishes a room.

    Args:
        world: a `DrawnWorld` or `SpriteWorld`.
        split: whose instances may be used.
        rng: the recording's generator.

    Returns:
        the scene, things in reading order.
    """
    if split not in SPLITS:
        raise ValueError(f"split {split!r} is not one of {SPLITS}")
    cells = _categories(world, rng)
    placed = []
    for column, row in sorted(cells, key=lambda cell: (cell[1], cell[0])):
        thing = world.sample(cells[column, row], split, rng)
        dx, dy = rng.uniform(-_JITTER, _JITTER, 2)
        placed.append(
            Placed(
                thing=thing,
                column=column,
                row=row,
                x=MARGIN + column + 0.5 + dx,
                y=MARGIN + row + 0.5 + dy,
                length=_LENGTH * SIZES[thing.size],
            )
        )
    return Scene(placed=tuple(placed))
