"""What items are made of: frames, clean views of objects, images and turns.

The tasks draw everything from a bank and never see a file format. Pixels lie decoded
in one flat file per recording, so that worker processes share them by mapping the
files. Images are u8[H, W, 3] (H height, W width); a canvas size is (width, height).
"""

import collections
import dataclasses
import functools
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from babyvlm_jax.data.schema import ASSISTANT, HUMAN
from data_prep.devcv.vocabulary import Vocabulary

# A view is a clean sight of one object: ours, chosen so that a crop shows the object.
MIN_VISIBLE = 0.99
MIN_SIDE = 1 / 8  # of the frame's short side: 12 of 96 pixels
MAX_OVERLAP = 0.1  # of the box's area, by any other box
JPEG_QUALITY = 92
BACKGROUND_TOLERANCE = 28  # of 255, any channel; ours: spans shading, not outlines
FLIPS = {
    "identity": lambda image: image,
    "horizontal": lambda image: image[:, ::-1],
    "vertical": lambda image: image[::-1],
    "both": lambda image: image[::-1, ::-1],
}
WORDINGS = ("saycam", "ego4d")  # of prompts, which some tasks have in two forms
PROMPTS = (*WORDINGS, "both")
LETTERS = "ABCD"
CROP_MARGIN = 0.1  # ours: a little of the surroundings, as detector crops have


@dataclasses.dataclass(frozen=True)
class Thing:
    """One annotated object in a frame.

    Attributes:
        category: its noun.
        instance: names this very object over all frames.
        look: names its appearance; objects that differ in size alone share it.
        bbox: (x, y, width, height) in pixels.
        colour: if known.
        visible: share of its box that lies in the frame.
    """

    category: str
    instance: str
    look: str
    bbox: tuple[float, float, float, float]
    colour: str | None
    visible: float

    @property
    def area(self) -> float:
        """Of the box, in pixels."""
        return self.bbox[2] * self.bbox[3]


@dataclasses.dataclass(frozen=True)
class Frame:
    """One annotated frame; its pixels start at `offset` of the file `store`.

    `mirrored`: the file holds the frame's mirror image (see `mirror`).
    """

    recording: str
    index: int
    width: int
    height: int
    things: tuple[Thing, ...]
    store: str
    offset: int
    mirrored: bool = False

    def pixels(self) -> np.ndarray:
        """u8[H, W, 3], read only."""
        size_bytes = self.height * self.width * 3
        flat = _mapped(self.store)[self.offset : self.offset + size_bytes]
        stored = flat.reshape(self.height, self.width, 3)
        return stored[:, ::-1] if self.mirrored else stored


def mirror(frame: Frame) -> Frame:
    """The frame with left and right exchanged: its pixels and its boxes.

    A box (10, 0, 20, 8) in a frame 96 wide goes to (66, 0, 20, 8). What an object's
    `look` says of its sides no longer holds.
    """
    things = tuple(
        dataclasses.replace(thing, bbox=(frame.width - x - width, y, width, height))
        for thing in frame.things
        for x, y, width, height in [thing.bbox]
    )
    return dataclasses.replace(frame, things=things, mirrored=not frame.mirrored)


@dataclasses.dataclass(frozen=True)
class View:
    """A clean sight of one object: wholly visible, large enough, hardly covered."""

    frame: Frame
    thing: Thing


@functools.lru_cache(maxsize=256)  # stays below the usual limit of open files
def _mapped(path: str) -> np.ndarray:
    # A plain view: slices of a memmap object cost ten times as much.
    return np.memmap(Path(path), dtype=np.uint8, mode="r").view(np.ndarray)


class Bank:
    """Frames in order of (recording, index), and their views by category.

    Attributes:
        frames: all frames of the split.
        views: category -> instance -> its views, in order.
        categories: the categories that have a view, sorted.
    """

    def __init__(self, frames: Iterable[Frame]):
        self.frames = tuple(sorted(frames, key=lambda f: (f.recording, f.index)))
        views = collections.defaultdict(lambda: collections.defaultdict(list))
        for frame in self.frames:
            for view in clean_views(frame):
                views[view.thing.category][view.thing.instance].append(view)
        self.views = {
            category: {instance: tuple(by[instance]) for instance in sorted(by)}
            for category, by in sorted(views.items())
        }
        self.categories = tuple(self.views)

    def draw(self, rng: np.random.Generator, category: str) -> View:
        """One view of the category: instance first, then view, each uniformly."""
        by_instance = self.views[category]
        return pick(rng, by_instance[pick(rng, tuple(by_instance))])


def pick(rng: np.random.Generator, options):
    """One element of a sequence, uniformly."""
    return options[int(rng.integers(len(options)))]


def clean_views(frame: Frame) -> list[View]:
    """The views that a frame offers (see the constants of this module)."""
    return [
        View(frame, thing)
        for thing in frame.things
        if thing.visible >= MIN_VISIBLE
        and min(thing.bbox[2:]) >= MIN_SIDE * min(frame.width, frame.height)
        and all(
            intersection(thing.bbox, other.bbox) <= MAX_OVERLAP * thing.area
            for other in frame.things
            if other is not thing
        )
    ]


def intersection(a, b) -> float:
    """Area that two boxes (x, y, width, height) share."""
    wide = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    high = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    return max(wide, 0.0) * max(high, 0.0)


def encode(image: np.ndarray) -> bytes:
    """JPEG file without chroma subsampling: small pictures keep their colours."""
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(image)).save(
        out, "JPEG", quality=JPEG_QUALITY, subsampling=0
    )
    return out.getvalue()


def crop(pixels: np.ndarray, bbox, margin: float) -> np.ndarray:
    """The box widened by `margin` of its longer side all round, within the frame."""
    height, width = pixels.shape[:2]
    pad = margin * max(bbox[2], bbox[3])
    left, top = max(bbox[0] - pad, 0), max(bbox[1] - pad, 0)
    right = min(bbox[0] + bbox[2] + pad, width)
    bottom = min(bbox[1] + bbox[3] + pad, height)
    return window(pixels, (left, top, right, bottom))


def window(pixels: np.ndarray, edges) -> np.ndarray:
    """The pixels inside (left, top, right, bottom), at least one each way."""
    left, top = int(np.floor(edges[0])), int(np.floor(edges[1]))
    right, bottom = int(np.ceil(edges[2])), int(np.ceil(edges[3]))
    return pixels[top : max(bottom, top + 1), left : max(right, left + 1)]


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resampled to (width, height), antialiased."""
    if image.shape[1::-1] == size:
        return image
    picture = Image.fromarray(np.ascontiguousarray(image))
    return np.asarray(picture.resize(size, Image.Resampling.BILINEAR))


def shrink(image: np.ndarray, side: int | None) -> np.ndarray:
    """Scaled down so that the longer side is `side`; never enlarged."""
    longer = max(image.shape[:2])
    if side is None or longer <= side:
        return image
    return resize(image, scaled(image, side / longer))


def scaled(image: np.ndarray, factor: float) -> tuple[int, int]:
    """(width, height) of the image times a factor, at least one pixel each."""
    height, width = image.shape[:2]
    return max(round(width * factor), 1), max(round(height * factor), 1)


def canvas_size(width: int, height: int, side: int | None) -> tuple[int, int]:
    """Size of a canvas for a frame of this size, its longer side at most `side`."""
    longer = max(width, height)
    factor = 1 if side is None else min(side / longer, 1)
    return round(width * factor), round(height * factor)


def paste(
    image: np.ndarray, size: tuple[int, int], fraction: float, corners=None
) -> np.ndarray:
    """Copies of an image on a black canvas.

    Args:
        image: u8[h, w, 3]; its longer side becomes `fraction` of the canvas's shorter.
        size: (width, height) of the canvas.
        fraction: see image.
        corners: f64[N, 2] (x, y) in [0, 1] of each copy's place: 0 is the left or top
            border, 1 the right or bottom one; None puts one copy in the middle.

    Returns:
        u8[H, W, 3].
    """
    canvas = np.zeros((size[1], size[0], 3), np.uint8)
    factor = fraction * min(size) / max(image.shape[:2])
    image = resize(image, scaled(image, factor))
    room = np.array([size[0] - image.shape[1], size[1] - image.shape[0]])
    for place in np.full((1, 2), 0.5) if corners is None else corners:
        x, y = (place * room).round().astype(int)
        canvas[y : y + image.shape[0], x : x + image.shape[1]] = image
    return canvas


def cut_out(image: np.ndarray) -> np.ndarray:
    """The object on black: what `background` finds goes.

    Args:
        image: u8[H, W, 3] crop with some background around the object.

    Returns:
        u8[H, W, 3].
    """
    return np.where(background(image)[..., None], np.uint8(0), image)


def background(image: np.ndarray) -> np.ndarray:
    """bool[H, W]: what looks like a corner and hangs on the border.

    On a plain background all but the object's outline and inside; on a busy one little.

    Args:
        image: u8[H, W, 3] crop with some background around an object.
    """
    corners = image[[0, 0, -1, -1], [0, -1, 0, -1]].astype(np.int16)
    planes = np.moveaxis(image, -1, 0).astype(np.int16)  # [3, H, W]: fast to reduce
    apart = [np.abs(planes - corner[:, None, None]).max(axis=0) for corner in corners]
    alike = np.min(apart, axis=0) <= BACKGROUND_TOLERANCE
    outside = np.zeros(np.add(alike.shape, 2), bool)
    outside[[0, -1]] = outside[:, [0, -1]] = True  # a rim to start from
    inner = outside[1:-1, 1:-1]
    count = -1
    while count != (count := np.count_nonzero(outside)):
        grown = outside[:-2, 1:-1] | outside[2:, 1:-1]
        grown |= outside[1:-1, :-2] | outside[1:-1, 2:]
        inner |= grown & alike
    return inner


@dataclasses.dataclass(frozen=True)
class Style:
    """How items look; the defaults are the corrected construction.

    Attributes:
        prompts: `saycam` or `ego4d` wording, or `both`, drawn for each item.
        image_side: longest side of a stored picture, None for the frame's own size.
        published: names of the constructions to keep as published, with their leaks
            (see `tasks.Task.published`).
        vdr_frames: fewest and most frames of a Visual Delayed Response clip.
        vocabulary: words of Picture Vocabulary and how similar they are; None: every
            category, all alike.
        mirror: Visual Delayed Response draws from mirrored frames too, so that a scene
            known by heart does not tell the side (ours, for training).
    """

    prompts: str = "saycam"
    image_side: int | None = None
    published: frozenset[str] = frozenset()
    vdr_frames: tuple[int, int] = (5, 10)
    vocabulary: Vocabulary | None = None
    mirror: bool = False


@dataclasses.dataclass(frozen=True)
class Item:
    """One conversation before it has an id; `views` are where its pictures are from."""

    images: tuple[bytes, ...]
    turns: tuple[tuple[str, str], ...]
    meta: Mapping[str, Any]
    origins: frozenset[tuple[str, str]]  # (recording, instance), for the leakage check


def wording(rng: np.random.Generator, prompts: str) -> str:
    """The wording of one item; `both` draws one.

    A model that knows a question in one wording alone may learn where its images stand
    instead of what it asks.
    """
    return WORDINGS[rng.integers(len(WORDINGS))] if prompts == "both" else prompts


def frames_of(bank: Bank, style: Style) -> tuple[Frame, ...]:
    """A bank's frames, followed by their mirror images where the style wants them."""
    mirrored = map(mirror, bank.frames) if style.mirror else ()
    return (*bank.frames, *mirrored)


def deck(rng: np.random.Generator, options: Sequence, number: int) -> list:
    """`number` draws in which each option occurs equally often, give or take one.

    Without options there are no draws.

    deck(rng, "AB", 5) -> e.g. ["B", "A", "A", "B", "B"]
    """
    if not options:
        return []
    order = np.arange(number) % len(options)
    shuffled = rng.permutation(len(options))[order]
    return [options[i] for i in rng.permutation(shuffled)]


def placed(rng: np.random.Generator, right, wrong: Sequence, position: int) -> list:
    """The right option at `position`, the wrong ones around it in random order."""
    options = [wrong[i] for i in rng.permutation(len(wrong))]
    options.insert(position, right)
    return options


def one_round(
    prompt: str,
    answer: str,
    images: Iterable[bytes],
    views: Iterable[View],
    **meta: Any,
) -> Item:
    """An item of one question and one answer."""
    return Item(
        images=tuple(images),
        turns=((HUMAN, prompt), (ASSISTANT, answer)),
        meta={"answer": answer, **meta},
        origins=origins_of(views),
    )


def origins_of(views: Iterable[View]) -> frozenset[tuple[str, str]]:
    """(recording, instance) of every view."""
    return frozenset((view.frame.recording, view.thing.instance) for view in views)


def object_crop(view: View, style: Style) -> np.ndarray:
    """The object with a margin, u8[h, w, 3], at most `style.image_side` long."""
    image = crop(view.frame.pixels(), view.thing.bbox, CROP_MARGIN)
    return shrink(image, style.image_side)


def whole_frame(frame: Frame, style: Style) -> bytes:
    """The file of a frame, at most `style.image_side` long."""
    return encode(shrink(frame.pixels(), style.image_side))


def canvas_of(view: View, style: Style) -> tuple[int, int]:
    """(width, height) of a canvas of the frame's size."""
    return canvas_size(view.frame.width, view.frame.height, style.image_side)
