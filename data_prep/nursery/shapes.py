"""Every drawn category by name, and the picture of one instance of it."""

import functools

from PIL import Image

from data_prep.nursery import (
    marks,
    shapes_animals,
    shapes_first,
    shapes_food,
    shapes_home,
    shapes_outside,
)
from data_prep.nursery.pen import RGB, Pen

COLOURS: dict[str, RGB] = {
    "red": (214, 28, 36),
    "orange": (244, 128, 16),
    "yellow": (246, 206, 8),
    "green": (32, 152, 52),
    "blue": (28, 84, 214),
    "purple": (124, 44, 168),
    "pink": (244, 92, 176),
    "brown": (122, 70, 34),
}

_MODULES = (shapes_first, shapes_animals, shapes_food, shapes_home, shapes_outside)
DRAWINGS = {
    drawing.__name__.replace("_", " "): drawing
    for module in _MODULES
    for drawing in module.DRAWINGS
}


@functools.lru_cache(maxsize=64)
def draw(category: str, colour: str, mark: tuple[str, str, str]) -> Image.Image:
    """Draws one instance.

    Args:
        category: a key of `DRAWINGS`.
        colour: base colour, a key of `COLOURS`.
        mark: (colour, kind, side) of the mark.

    Returns:
        RGBA picture cropped to the drawing, about 250 pixels at its longer side.
    """
    mark_colour, kind, side = mark
    pen = Pen(COLOURS[colour])
    steps = DRAWINGS[category](pen)
    next(steps)
    pen.mark(marks.make_painter(kind, side), COLOURS[mark_colour])
    for _ in steps:
        raise AssertionError(f"{category}: a drawing yields once")
    return pen.finish()
