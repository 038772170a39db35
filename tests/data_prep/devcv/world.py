"""A little world in memory: annotated frames of patterned things, for the task tests.

A thing is a patch of noise that only its instance has; frames are 64x64 and grey.
"""

import zlib
from pathlib import Path

import numpy as np

from data_prep.devcv.items import Bank, Frame, Thing

SIDE = 64
NOUNS = (
    *("ball", "book", "car", "cup", "duck", "fish", "hat", "house"),
    *("key", "shoe", "star", "tree", "boat", "bear", "drum", "leaf"),
)
COLOURS = ("red", "red", "red", "blue")  # of a noun's four instances
CORNERS = ((4, 6), (38, 4), (5, 36), (40, 38))  # of a thing in each quadrant


def thing(noun, bbox, instance=None, colour=None, visible=1.0) -> Thing:
    instance = instance or f"{noun}_0"
    return Thing(noun, instance, instance, bbox, colour, visible)


def member(split: str, noun: str, number: int, bbox) -> Thing:
    """One of a noun's four instances in a split."""
    return thing(noun, bbox, f"{split}_{noun}_{number}", COLOURS[number])


def pattern(instance: str, width: int, height: int) -> np.ndarray:
    rng = np.random.default_rng(zlib.crc32(instance.encode()))
    blocks = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return blocks[np.arange(height) * 4 // height][:, np.arange(width) * 4 // width]


def draw(things) -> np.ndarray:
    pixels = np.full((SIDE, SIDE, 3), 190, np.uint8)
    for item in things:
        x, y, width, height = (int(v) for v in item.bbox)
        pixels[y : y + height, x : x + width] = pattern(item.instance, width, height)
    return pixels


def scenes(split: str) -> list[tuple[str, int, list[Thing]]]:
    """(recording, frame index, things) of every frame of a split."""
    found = []
    for noun in NOUNS:
        for number in range(4):
            name = f"{split}_{noun}{number}"
            for index, box in enumerate([(10, 14, 20, 16), (30, 30, 25, 20)]):
                found.append((name, index, [member(split, noun, number, box)]))
    for index in range(8):
        nouns = [NOUNS[(index + k) % 16] for k in range(4)]
        quads = [
            member(split, noun, 0, (*corner, 16, 14))
            for noun, corner in zip(nouns, CORNERS, strict=True)
        ]
        found.append((f"{split}_quad{index}", 0, quads))
        row = [
            member(split, NOUNS[index], k, (2 + 20 * k, 20, 14, 14)) for k in range(3)
        ]
        found.append((f"{split}_row{index}", 0, row))
        found.append((f"{split}_pair{index}", 0, row[:2]))
    for index, step in enumerate(STEPS.values()):
        name = f"{split}_pan{index}"
        for time, box in enumerate(pan(step)):
            things = [member(split, NOUNS[index], 0, box)] if box else []
            found.append((name, time, things))
    return found


STEPS = {
    "left": (-12, 0),
    "right": (12, 0),
    "top": (0, -12),
    "bottom": (0, 12),
    "top left": (-12, -12),
    "top right": (12, -12),
    "bottom left": (-12, 12),
    "bottom right": (12, 12),
}


def pan(step, times=8) -> list[tuple[int, int, int, int] | None]:
    """Clipped boxes of a 16x16 thing that starts in the middle; None: out of frame."""
    boxes = []
    for time in range(times):
        x, y = (24 + time * s for s in step)
        left, top = max(x, 0), max(y, 0)
        right, bottom = min(x + 16, SIDE), min(y + 16, SIDE)
        inside = right > left and bottom > top
        boxes.append((left, top, right - left, bottom - top) if inside else None)
    return boxes


def make_frames(folder: Path, entries) -> list[Frame]:
    """Draws scenes into one file of pixels in `folder`."""
    frames, store = [], folder / "pixels.rgb"
    with open(store, "wb") as out:
        for number, (recording, index, things) in enumerate(entries):
            out.write(draw(things).tobytes())
            shown = tuple(
                thing(
                    t.category,
                    t.bbox,
                    t.instance,
                    t.colour,
                    # The pans' things are 16x16, the others whole.
                    t.bbox[2] * t.bbox[3] / 256 if "_pan" in recording else 1.0,
                )
                for t in things
            )
            offset = number * SIDE * SIDE * 3
            frames.append(
                Frame(recording, index, SIDE, SIDE, shown, str(store), offset)
            )
    return frames


def make_bank(folder: Path, split: str = "test") -> Bank:
    return Bank(make_frames(folder, scenes(split)))
