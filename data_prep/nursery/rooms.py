"""The six rooms: light wall and floor with patterns and furniture low in contrast.

Four rooms belong to train, one each to val and test. A train room changes its hues from
recording to recording, so that a new room is a new place and not a shock.
"""

import colorsys
import dataclasses

import numpy as np
from PIL import Image, ImageDraw

from data_prep.nursery import layout

RGB = tuple[int, int, int]


@dataclasses.dataclass(frozen=True)
class Room:
    """A room: its split, hues (0..1), how far the hues wander, and its patterns."""

    name: str
    split: str
    wall_hue: float
    floor_hue: float
    hue_spread: float
    wall: str
    floor: str


ROOMS = (
    Room("kitchen", "train", 0.12, 0.09, 0.5, "tiles", "checks"),
    Room("bedroom", "train", 0.60, 0.08, 0.5, "stripes", "planks"),
    Room("living room", "train", 0.30, 0.04, 0.5, "plain", "planks"),
    Room("playroom", "train", 0.85, 0.45, 0.5, "dots", "plain"),
    Room("bathroom", "val", 0.50, 0.55, 0.06, "small tiles", "small tiles"),
    Room("garden", "test", 0.55, 0.28, 0.06, "clouds", "grass"),
)


def _pastel(hue: float, lightness: float, strength: float) -> RGB:
    rgb = colorsys.hls_to_rgb(hue % 1.0, lightness, strength)
    return tuple(round(255 * value) for value in rgb)


def _shade(colour: RGB, factor: float) -> RGB:
    return tuple(min(255, round(value * factor)) for value in colour)


class _Painter:
    """Draws patterns on the plane; one cell is `cell` pixels."""

    def __init__(self, image: Image.Image, cell: float, rng: np.random.Generator):
        self.draw = ImageDraw.Draw(image)
        self.cell = cell
        self.rng = rng
        self.width = image.width

    def pattern(self, name: str, top: float, bottom: float, colour: RGB) -> None:
        """Fills rows `top`..`bottom` (pixels) with a pattern on a plain colour."""
        self.draw.rectangle([0, top, self.width, bottom], fill=colour)
        line = _shade(colour, 0.95)
        match name:
            case "tiles":
                self._lines(0.5, top, bottom, line)
            case "small tiles":
                self._lines(0.3, top, bottom, _shade(colour, 0.94))
            case "stripes":
                for x in np.arange(0, self.width, 0.6 * self.cell):
                    self.draw.rectangle(
                        [x, top, x + 0.3 * self.cell, bottom], fill=line
                    )
            case "planks":
                self._planks(top, bottom, line)
            case "checks":
                self._checks(top, bottom, _shade(colour, 0.96))
            case "dots":
                self._blobs(90, 0.06, 0.06, top, bottom, line)
            case "clouds":
                self._blobs(14, 0.6, 0.22, top, bottom, _shade(colour, 1.04))
            case "grass":
                self._blobs(220, 0.02, 0.12, top, bottom, line)

    def _lines(self, step: float, top: float, bottom: float, colour: RGB) -> None:
        thick = max(1, round(0.03 * self.cell))
        for x in np.arange(0, self.width, step * self.cell):
            self.draw.line([(x, top), (x, bottom)], fill=colour, width=thick)
        for y in np.arange(top, bottom, step * self.cell):
            self.draw.line([(0, y), (self.width, y)], fill=colour, width=thick)

    def _planks(self, top: float, bottom: float, colour: RGB) -> None:
        thick = max(1, round(0.03 * self.cell))
        for y in np.arange(top, bottom, 0.4 * self.cell):
            self.draw.line([(0, y), (self.width, y)], fill=colour, width=thick)
            for x in self.rng.uniform(0, self.width, 3):
                end = min(bottom, y + 0.4 * self.cell)
                self.draw.line([(x, y), (x, end)], fill=colour, width=thick)

    def _checks(self, top: float, bottom: float, colour: RGB) -> None:
        side = 0.5 * self.cell
        for row, y in enumerate(np.arange(top, bottom, side)):
            for x in np.arange(row % 2 * side, self.width, 2 * side):
                low = min(bottom, y + side)
                self.draw.rectangle([x, y, x + side, low], fill=colour)

    def _blobs(self, number, rx, ry, top, bottom, colour: RGB) -> None:
        rx, ry = rx * self.cell, ry * self.cell
        for _ in range(number):
            x, y = (
                self.rng.uniform(0, self.width),
                self.rng.uniform(top + ry, bottom - ry),
            )
            self.draw.ellipse([x - rx, y - ry, x + rx, y + ry], fill=colour)

    def furniture(self, wall: RGB, floor: RGB, horizon: float) -> None:
        """Hints of furniture, low in contrast: shelves, a picture frame, a rug."""
        cell, thin = self.cell, max(1, round(0.05 * self.cell))
        shelf = _shade(wall, 0.9)
        left, right = layout.MARGIN * cell, (layout.MARGIN + layout.COLUMNS) * cell
        for row in range(layout.ROWS // 2):
            y = (layout.MARGIN + row + 0.95) * cell
            self.draw.line([(left, y), (right, y)], fill=shelf, width=thin)
        x = self.rng.uniform(0.2, 0.5) * cell
        frame = [x, 0.4 * cell, x + 0.9 * cell, 1.3 * cell]
        self.draw.rectangle(frame, fill=_shade(wall, 1.03), outline=shelf, width=thin)
        y = horizon + 0.9 * cell
        rug = [left - 0.5 * cell, y, right + 0.5 * cell, y + 1.2 * cell]
        self.draw.ellipse(rug, fill=_shade(floor, 1.02))
        base = [0, horizon, self.width, horizon + 1.5 * thin]
        self.draw.rectangle(base, fill=_shade(wall, 0.93))


def paint(room: Room, cell: float, rng: np.random.Generator) -> Image.Image:
    """Paints a room without its things.

    Args:
        room: one of `ROOMS`.
        cell: pixels of a cell of the grid.
        rng: the recording's generator.

    Returns:
        RGB picture of the whole plane.
    """
    size = (round(layout.WIDTH * cell), round(layout.HEIGHT * cell))
    wander = rng.uniform(-room.hue_spread, room.hue_spread, 2)
    wall = _pastel(room.wall_hue + wander[0], rng.uniform(0.88, 0.94), 0.5)
    floor = _pastel(room.floor_hue + wander[1], rng.uniform(0.84, 0.9), 0.4)
    image = Image.new("RGB", size)
    horizon = layout.HORIZON * cell
    painter = _Painter(image, cell, rng)
    painter.pattern(room.wall, 0, horizon, wall)
    painter.pattern(room.floor, horizon, size[1], floor)
    painter.furniture(wall, floor, horizon)
    return image
