"""Annotated frames of things that really have their colour, and CSV files of V1."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from data_prep.devcv.items import Bank, Frame, Thing
from data_prep.nursery.shapes import COLOURS

SIDE = 96
WALL = (225, 228, 230)
NOUNS = ("ball", "cup", "dog", "car")
NAMES = ("red", "green", "blue")


def thing(noun, colour, bbox, number=0) -> Thing:
    name = f"{noun}_{colour}_{number}"
    return Thing(noun, name, name, bbox, colour, 1.0)


def draw(things) -> np.ndarray:
    """Each thing a shape of its colour with a dark rim: from a disc to a square."""
    y, x = np.mgrid[:SIDE, :SIDE] + 0.5
    pixels = np.full((SIDE, SIDE, 3), WALL, np.uint8)
    for item in things:
        left, top, width, height = item.bbox
        power = 2 + 2 * NOUNS.index(item.category)
        radius = ((x - left - width / 2) / width * 2) ** power
        radius += ((y - top - height / 2) / height * 2) ** power
        pixels[radius <= 1] = [c // 3 for c in COLOURS[item.colour]]
        pixels[radius <= 0.7] = COLOURS[item.colour]
    return pixels


def scenes():
    """(recording, things): one thing at a side; two or three of a kind; two kinds."""
    found = []
    for n, noun in enumerate(NOUNS):
        for c, colour in enumerate(NAMES):
            for side, left in enumerate((4, 52)):
                name = f"r{n}{c}{side}"
                found.append((name, [thing(noun, colour, (left, 30, 40, 36))]))
        row = [thing(noun, "red", (3 + 32 * k, 34, 28, 28), k) for k in range(3)]
        found += [(f"row{n}", row), (f"pair{n}", row[:2])]
    return found


def make_bank(folder: Path) -> Bank:
    frames, store = [], folder / "pixels.rgb"
    with store.open("wb") as out:
        for number, (recording, things) in enumerate(scenes()):
            out.write(draw(things).tobytes())
            offset = number * SIDE * SIDE * 3
            frames.append(
                Frame(recording, 0, SIDE, SIDE, tuple(things), str(store), offset)
            )
    return Bank(frames)


def jpeg(value: int) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (12, 10), (value, 0, 90)).save(out, "JPEG")
    return out.getvalue()


def write_pictures(folder: Path, names) -> Path:
    """Pictures that differ from each other."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(30 * number % 256))
    return folder
