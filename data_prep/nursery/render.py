"""From a furnished room and camera poses to frames and to the boxes of the things.

The room is painted once per recording, several times as large as a frame, with smaller
copies of it; a frame is one affine cut out of the copy that is nearest in scale. Boxes
follow from the same geometry. Axes: F frames, N things, K outline points.
"""

import numpy as np
from PIL import Image

from data_prep.nursery import rooms
from data_prep.nursery.layout import Scene

_CELL_PER_FRAME = 1.1  # pixels of a cell / pixels of the frame's shorter side
_LEVELS = 4
_OUTLINE_POINTS = 32
MIN_VISIBLE = 0.05


def _outline(alpha: np.ndarray) -> np.ndarray:
    """Extreme points of a picture's solid part in K directions: f64[K, 2] in pixels."""
    y, x = np.nonzero(alpha > 96)
    points = np.stack([x + 0.5, y + 0.5], axis=1)
    angles = np.linspace(0, 2 * np.pi, _OUTLINE_POINTS, endpoint=False)
    directions = np.stack([np.cos(angles), np.sin(angles)])
    return points[np.argmax(points @ directions, axis=0)]


class Stage:
    """A room with its things, ready to be filmed.

    Attributes:
        outlines: f64[N, K, 2] outline points of the things, in cells.
    """

    def __init__(self, world, scene: Scene, room: rooms.Room, resolution, rng):
        """Paints everything.

        Args:
            world: gives the pictures of the things.
            scene: where they stand.
            room: what stands around them.
            resolution: (width, height) of the frames.
            rng: the recording's generator.
        """
        self._resolution = resolution
        cell = _CELL_PER_FRAME * min(resolution)
        plane = rooms.paint(room, cell, rng)
        outlines = []
        for placed in scene.placed:
            picture = world.picture(placed.thing)
            scale = placed.length * cell / max(picture.size)
            size = [max(1, round(side * scale)) for side in picture.size]
            picture = picture.resize(size, Image.Resampling.LANCZOS)
            left = round(placed.x * cell - size[0] / 2)
            top = round(placed.y * cell - size[1] / 2)
            plane.paste(picture, (left, top), picture)
            points = _outline(np.asarray(picture.getchannel("A")))
            outlines.append((points + np.array([left, top])) / cell)
        self.outlines = np.array(outlines)
        tint = rng.uniform(0.93, 1.0, 3) * rng.uniform(0.94, 1.04)
        lit = np.clip(np.asarray(plane) * tint.astype(np.float32), 0, 255)
        plane = Image.fromarray(lit.astype(np.uint8))
        self._levels = [(cell, plane)]
        for _ in range(_LEVELS - 1):
            plane = plane.reduce(2)
            self._levels.append((self._levels[-1][0] / 2, plane))

    def frame(self, pose: np.ndarray, gain: float) -> np.ndarray:
        """Films one frame.

        Args:
            pose: f64[4] of `Camera.poses`.
            gain: brightness.

        Returns:
            u8[H, W, 3].
        """
        x, y, view, roll = pose
        width, height = self._resolution
        pixel = view / min(width, height)  # cells of a frame pixel
        # The copy whose pixels are nearest to the frame's: never two for one.
        cell, plane = min(self._levels, key=lambda lv: abs(np.log(lv[0] * pixel) - 0.1))
        c, s = np.cos(roll) * pixel * cell, np.sin(roll) * pixel * cell
        matrix = (
            c, -s, x * cell - c * width / 2 + s * height / 2,
            s, c, y * cell - s * width / 2 - c * height / 2,
        )  # fmt: skip
        cut = plane.transform(
            (width, height), Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
        )
        return np.clip(np.asarray(cut) * np.float32(gain), 0, 255).astype(np.uint8)

    def boxes(self, poses: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Boxes of all things in all frames.

        Args:
            poses: f64[F, 4].

        Returns:
            f64[F, N, 4] left, top, right, bottom within the frame (quarter pixels), and
            f64[F, N] the share of each thing's whole box that lies in the frame.
        """
        width, height = self._resolution
        centre, view, roll = poses[:, :2], poses[:, 2], poses[:, 3]
        offset = self.outlines[None] - centre[:, None, None, :]
        c, s = np.cos(roll)[:, None, None], np.sin(roll)[:, None, None]
        pixels = (min(width, height) / view)[:, None, None]
        u = (c * offset[..., 0] + s * offset[..., 1]) * pixels + width / 2
        v = (c * offset[..., 1] - s * offset[..., 0]) * pixels + height / 2
        whole = np.stack([u.min(-1), v.min(-1), u.max(-1), v.max(-1)], axis=-1)
        limits = np.array([width, height, width, height])
        inside = np.clip(whole, 0, limits)
        visible = _area(inside) / np.maximum(_area(whole), 1e-9)
        return np.round(inside * 4) / 4, visible


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
