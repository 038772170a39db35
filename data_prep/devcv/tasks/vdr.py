"""Visual Delayed Response: through which side of the frame does the object leave?

A clip shows an object wholly at first and not at all in its last one or two frames,
carried away by the camera. The direction is read off the trajectory of the centre of
its box, never off the camera's record.
"""

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Sequence

import numpy as np

from data_prep.devcv import items
from data_prep.devcv.tasks import Task

OPPOSITE = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
DIRECTIONS = (
    *OPPOSITE,
    *(f"{v} {h}" for v in ("top", "bottom") for h in ("left", "right")),
)
MAX_SPAN = 25  # annotated frames: 5 s at 5 fps, as the published clips
MIN_FRAMES = 5
CUT = 0.9  # visible less than this in the last frame with the object: seen to leave
STILL = 0.02  # of the frame a step: below, the camera rests
CLOSE = 0.04  # of the frame: a centre so near to a border's corner is ambiguous


@dataclasses.dataclass(frozen=True)
class Exit:
    """One object's way out: frames from wholly visible to gone."""

    frames: tuple[items.Frame, ...]
    num_gone: int
    thing: items.Thing  # as first seen
    direction: str


def question_binary(noun: str, num_frames: int, sides: tuple[str, str]) -> str:
    """The human turn about two sides, word for word as released."""
    first, second = sides
    return (
        "<image>" * num_frames + f" does the {noun} leave the frame through the "
        f"{first} side of the frame or the {second} side of the frame? respond ONLY "
        f"with '{first}' or '{second}'."
    )


def question_open(noun: str, num_frames: int) -> str:
    """The human turn about eight directions, word for word as released."""
    return (
        "<image>" * num_frames + f" which part of the frame does the {noun} leave "
        "from? respond ONLY with one of: 'top', 'bottom', 'left', 'right', "
        "'top right', 'top left', 'bottom right', or 'bottom left'."
    )


def vdr_binary(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """The side of exit against the opposite one, in either order."""
    found = [e for e in exits(items.frames_of(bank, style)) if e.direction in OPPOSITE]
    orders = items.deck(rng, (0, 1), number)
    for exit_, order in zip(_balanced(rng, found, number), orders, strict=False):
        sides = (exit_.direction, OPPOSITE[exit_.direction])[:: -1 if order else 1]
        asked = functools.partial(question_binary, sides=sides)
        yield _item(rng, exit_, style, asked)


def vdr_open(
    bank: items.Bank, rng: np.random.Generator, number: int, style: items.Style
) -> Iterator[items.Item]:
    """One of eight directions of exit."""
    for exit_ in _balanced(rng, exits(items.frames_of(bank, style)), number):
        yield _item(rng, exit_, style, question_open)


def _balanced(rng, found, number) -> Iterator[Exit]:
    """Exits such that the directions that occur take turns."""
    by_direction = {}
    for index in rng.permutation(len(found)):
        by_direction.setdefault(found[index].direction, []).append(found[index])
    if not by_direction:
        return
    turns = {name: itertools.cycle(of) for name, of in by_direction.items()}
    for direction in items.deck(rng, sorted(turns), number):
        yield next(turns[direction])


def _item(rng, exit_, style, question) -> items.Item:
    """Shows some of the clip: its first frame, the last with the object, one without.

    The others lie evenly between, so that the way out is seen.
    """
    fewest, most = style.vdr_frames
    gone = min(int(rng.integers(1, 3)), exit_.num_gone)
    wanted = int(rng.integers(fewest, most + 1)) - gone
    last = len(exit_.frames) - exit_.num_gone - 1
    steps = np.linspace(0, last, min(wanted, last + 1)).round().astype(int)
    frames = [exit_.frames[i] for i in (*steps, *range(last + 1, last + 1 + gone))]
    return items.one_round(
        question(exit_.thing.category, len(frames)),
        exit_.direction,
        [items.whole_frame(frame, style) for frame in frames],
        [items.View(frames[0], exit_.thing)],
        direction=exit_.direction,
        noun=exit_.thing.category,
    )


def exits(frames: Sequence[items.Frame]) -> list[Exit]:
    """All usable exits in frames that are in order of (mirrored, recording, index)."""
    groups = itertools.groupby(frames, key=lambda f: (f.recording, f.mirrored))
    cut = [stretch for _, group in groups for stretch in stretches(list(group))]
    return [exit_ for stretch in cut for exit_ in _exits_of_stretch(stretch)]


def stretches(frames: list[items.Frame]) -> list[list[items.Frame]]:
    """Cuts one recording's frames where some are missing.

    Indices 0, 2, 4, 10, 12 -> [0, 2, 4], [10, 12]: the least step is the usual one.
    """
    steps = [b.index - a.index for a, b in itertools.pairwise(frames)]
    cuts = [i + 1 for i, step in enumerate(steps) if step > min(steps)]
    return [frames[a:b] for a, b in itertools.pairwise([0, *cuts, len(frames)])]


def _exits_of_stretch(frames) -> Iterator[Exit]:
    seen = [{thing.instance: thing for thing in frame.things} for frame in frames]
    for gone in range(1, len(frames)):
        for instance in sorted(set(seen[gone - 1]) - set(seen[gone])):
            if (exit_ := _exit(frames, seen, gone, instance)) is not None:
                yield exit_


def _exit(frames, seen, gone, instance) -> Exit | None:
    """The clip that ends with `instance` leaving before frame `gone`, if usable."""
    if seen[gone - 1][instance].visible >= CUT:
        return None
    if (whole := _start(frames, seen, gone, instance)) is None:
        return None
    num_gone = 1 + (gone + 1 < len(frames) and instance not in seen[gone + 1])
    clip, thing = frames[whole : gone + num_gone], seen[whole][instance]
    if any(
        other.category == thing.category and other.instance != instance
        for frame in clip
        for other in frame.things
    ):
        return None
    boxes = [seen[i][instance].bbox for i in range(whole, gone)]
    direction = exit_direction(boxes, (frames[0].width, frames[0].height))
    if direction is None:
        return None
    return Exit(tuple(clip), num_gone, thing, direction)


def _start(frames, seen, gone, instance) -> int | None:
    """The frame to begin with: the object whole, and about to move out of the frame.

    Goes back from the exit to where the object is whole, then on while it moves, then
    on until the clip has `MIN_FRAMES`.
    """

    def is_whole(i):
        return i >= 0 and instance in seen[i] and seen[i][instance].visible >= 0.99

    start = gone - 1
    while instance in seen[start] and not is_whole(start):
        start -= 1
        if start < 0 or gone - start > MAX_SPAN:
            return None
    if not is_whole(start):
        return None
    while is_whole(start - 1) and gone - start < MAX_SPAN:
        before, now = (np.array(seen[i][instance].bbox) for i in (start - 1, start))
        moved = np.abs((now[:2] + now[2:] / 2) - (before[:2] + before[2:] / 2))
        still = (moved < STILL * np.array([frames[0].width, frames[0].height])).all()
        if still and gone - start + 1 >= MIN_FRAMES:
            break
        start -= 1
    return start if gone - start + 1 >= MIN_FRAMES else None


def exit_direction(boxes: Sequence, size: tuple[int, int]) -> str | None:
    """The borders that the centre of a box has crossed when the box has just gone.

    Boxes are clipped to the frame; their whole size is known from the first one, so
    that the true centre of a clipped box is found from its free edge. The centre then
    goes on as in the last step until the whole box lies outside.

    boxes (30,40,20,20), (10,40,20,20), (0,40,10,20) in 96x96 pixels: centres 40, 20, 0
    (clipped at the left: 10 - 20/2), step -20; at -20 the box (-30..-10) is gone:
    "left".

    Args:
        boxes: (x, y, width, height) in time order, the first wholly visible.
        size: (width, height) of the frame.

    Returns:
        One of `DIRECTIONS`, None where the object does not move or the way is too
        close to call.
    """
    limits, half = np.array(size, float), np.array(boxes[0][2:]) / 2
    centres = [_centre(np.array(box), half, limits) for box in boxes[-3:]]
    step = (centres[-1] - centres[0]) / max(len(centres) - 1, 1)
    if (np.abs(step) < 0.01 * limits).all():
        return None
    centre = centres[-1]
    for _ in range(20):
        centre = centre + step
        if ((centre + half <= 0) | (centre - half >= limits)).any():
            break
    else:
        return None
    sides = []
    for axis, names in ((1, ("top", "bottom")), (0, ("left", "right"))):
        beyond = max(-centre[axis], centre[axis] - limits[axis])
        if abs(beyond) < CLOSE * limits[axis]:
            return None
        if beyond > 0:
            sides.append(names[int(centre[axis] > 0)])
    return " ".join(sides)


def _centre(box: np.ndarray, half: np.ndarray, limits: np.ndarray) -> np.ndarray:
    """Centre of the unclipped box: a side at the border is measured from the other."""
    start, length = box[:2], box[2:]
    at_start, at_end = start <= 0.5, start + length >= limits - 0.5
    cut = np.where(at_start, start + length - half, start + half)
    return np.where(at_start == at_end, start + length / 2, cut)


_MIRRORED = (
    "Half of the train clips of Visual Delayed Response are mirror images: a scene"
    " known by heart does not tell the side."
)


TASKS = (
    Task(
        name="vdr_binary",
        title="Visual Delayed Response, two sides",
        make=vdr_binary,
        example=lambda wording: question_binary("ball", 5, ("left", "right")),
        # BabyVLM-V2, SAYCam
        sizes={"demo": (2000, 40, 200), "full": (2584, 440, 465)},
        build_rank=7,
        released_names=("vdr", "binary", "vdr_image", "visual_delayed_response"),
        remark=lambda style: _MIRRORED if style["mirror"] else "",
        images_ask=True,
    ),
    Task(
        name="vdr_open",
        title="Visual Delayed Response, eight directions",
        make=vdr_open,
        example=lambda wording: question_open("ball", 5),
        sizes={"demo": (400, 40, 200), "full": (2584, 440, 465)},
        build_rank=7,
        released_names=("open",),
        images_ask=True,
    ),
)
