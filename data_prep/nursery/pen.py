"""The pen that every drawing uses, and how a drawing becomes a picture with alpha.

A drawing is a function of a `Pen` that adds body parts (they make the silhouette) and
details (they stay inside it). Coordinates go from -1 to 1, x to the right, y down.
Between body and details a coloured mark is laid on the left or right part of the
silhouette, so that no picture equals its mirror image.
"""

from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

Point = tuple[float, float]
RGB = tuple[int, int, int]

CANVAS = 288  # pixels of the supersampled drawing
INK: RGB = (38, 30, 36)
_MARGIN = 0.88  # of the canvas is used, the rest is for the outline


def _mix(a: RGB, b: RGB, share: float) -> RGB:
    return tuple(round(x + (y - x) * share) for x, y in zip(a, b, strict=True))


def _spread(points: Sequence[Point], smooth: int) -> list[Point]:
    """Cuts corners (Chaikin) `smooth` times, so that few points give a round form."""
    for _ in range(smooth):
        ring = list(points)
        points = []
        for (x0, y0), (x1, y1) in zip(ring, ring[1:] + ring[:1], strict=True):
            points.append((0.75 * x0 + 0.25 * x1, 0.75 * y0 + 0.25 * y1))
            points.append((0.25 * x0 + 0.75 * x1, 0.25 * y0 + 0.75 * y1))
    return list(points)


class Pen:
    """Collects the parts of one drawing in a base colour.

    Tones: `base`, `light`, `dark` (of the base colour), `white`, `ink`.
    """

    def __init__(self, base: RGB):
        self._tones = {
            "base": base,
            "light": _mix(base, (255, 255, 255), 0.55),
            "dark": _mix(base, (0, 0, 0), 0.4),
            "white": (250, 250, 246),
            "ink": INK,
        }
        self._image = Image.new("RGBA", (CANVAS, CANVAS), (0, 0, 0, 0))
        self._draw = ImageDraw.Draw(self._image)
        self._silhouette: Image.Image | None = None

    def _xy(self, points: Sequence[Point]) -> list[Point]:
        half = CANVAS / 2
        return [
            (half + x * half * _MARGIN, half + y * half * _MARGIN) for x, y in points
        ]

    def poly(self, *points: Point, tone: str = "base", smooth: int = 0) -> None:
        """Fills a polygon; `smooth` rounds its corners."""
        self._draw.polygon(self._xy(_spread(points, smooth)), fill=self._tones[tone])

    def oval(self, x, y, rx, ry=None, tone: str = "base") -> None:
        """Fills an ellipse around (x, y); a circle without `ry`."""
        ry = rx if ry is None else ry
        low, high = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse([low, high], fill=self._tones[tone])

    def box(self, x0, y0, x1, y1, tone: str = "base", corner: float = 0.0) -> None:
        """Fills a rectangle with rounded corners of radius `corner`."""
        radius = corner * CANVAS / 2 * _MARGIN
        self._draw.rounded_rectangle(
            self._xy([(x0, y0), (x1, y1)]), radius, fill=self._tones[tone]
        )

    def line(self, *points: Point, tone: str = "ink", width: float = 0.07) -> None:
        """Draws a line through the points with round ends."""
        pixels = width * CANVAS / 2 * _MARGIN
        places = self._xy(points)
        self._draw.line(
            places, fill=self._tones[tone], width=round(pixels), joint="curve"
        )
        for x, y in (places[0], places[-1]):
            end = [x - pixels / 2, y - pixels / 2, x + pixels / 2, y + pixels / 2]
            self._draw.ellipse(end, fill=self._tones[tone])

    def ring(
        self, x, y, rx, ry=None, start=0, stop=360, tone: str = "base", width=0.16
    ) -> None:
        """Draws an arc (degrees clockwise from the right), a whole ring by default."""
        ry = rx if ry is None else ry
        pixels = round(width * CANVAS / 2 * _MARGIN)
        low, high = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.arc([low, high], start, stop, fill=self._tones[tone], width=pixels)

    def hole(self, x, y, rx, ry=None) -> None:
        """Cuts an ellipse out of the body."""
        ry = rx if ry is None else ry
        low, high = self._xy([(x - rx, y - ry), (x + rx, y + ry)])
        self._draw.ellipse([low, high], fill=(0, 0, 0, 0))

    def mark(self, paint: Callable[[np.ndarray], np.ndarray], colour: RGB) -> None:
        """Closes the silhouette and lays a mark on it; what follows are details.

        Args:
            paint: silhouette bool[Y, X] to mark bool[Y, X].
            colour: of the mark.
        """
        alpha = self._image.getchannel("A")
        self._silhouette = alpha
        body = np.asarray(alpha) > 127
        mask = Image.fromarray((paint(body) & body).astype(np.uint8) * 255)
        self._image.paste(Image.new("RGB", mask.size, colour), (0, 0), mask)
        self._draw = ImageDraw.Draw(self._image)

    def finish(self) -> Image.Image:
        """Puts the dark outline around the body.

        Returns:
            RGBA picture, cropped to what is drawn.
        """
        body = self._silhouette
        width = 0.035 * CANVAS
        outline = body.filter(ImageFilter.GaussianBlur(width / 2))
        outline = outline.point([0] * 24 + [255] * 232)
        inside = Image.composite(self._image, Image.new("RGBA", body.size), body)
        whole = Image.new("RGBA", body.size, INK)
        whole.putalpha(ImageChops.lighter(outline, body))
        whole.alpha_composite(inside)
        return whole.crop(whole.getchannel("A").getbbox())
