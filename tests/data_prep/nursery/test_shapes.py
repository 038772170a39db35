"""Drawings are different from each other and from their mirror images."""

import itertools

import numpy as np
import pytest
from PIL import Image, ImageOps

from data_prep.nursery import marks, shapes
from tests.chosen import some

PAPER = (240, 236, 226)


def _small(category, mark=("blue", "dot", "left"), mirror=False):
    """The drawing in red on paper at 32 x 32 pixels, as a model sees it."""
    picture = shapes.draw(category, "red", mark)
    if mirror:
        picture = ImageOps.mirror(picture)
    scale = 24 / max(picture.size)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size])
    paper = Image.new("RGB", (32, 32), PAPER)
    paper.paste(
        picture, ((32 - picture.width) // 2, (32 - picture.height) // 2), picture
    )
    return np.asarray(paper, float)


def _distance(a, b):
    return np.abs(a - b).mean()


def test_names():
    names = list(shapes.DRAWINGS)
    assert len(names) >= 40
    assert names[:12] == [
        "ball", "cup", "car", "star", "fish", "tree", "house", "duck", "shoe", "key",
        "book", "hat",
    ]  # fmt: skip
    assert "ice cream" in names


def test_categories_differ():
    small = {name: _small(name) for name in shapes.DRAWINGS}
    closest = min(
        (_distance(small[a], small[b]), a, b)
        for a, b in itertools.combinations(small, 2)
    )
    # Of 255; the same drawing with another mark differs by about 4.
    assert closest[0] > 6, closest


@pytest.mark.parametrize("kind", some(marks.KINDS, marks.KINDS[:1]))
def test_mirror_image_differs(kind):
    for name in shapes.DRAWINGS:
        mark = ("blue", kind, "left")
        assert _distance(_small(name, mark), _small(name, mark, mirror=True)) > 2, name


def test_marks_differ():
    all_marks = list(itertools.product(("blue", "green"), marks.KINDS, marks.SIDES))
    pictures = [_small("cup", mark) for mark in all_marks]
    for a, b in itertools.combinations(pictures, 2):
        assert _distance(a, b) > 0.5


@pytest.mark.integration
def test_mark_shows():
    blue = np.array(shapes.COLOURS["blue"])
    sides = itertools.cycle(marks.SIDES)
    for name in shapes.DRAWINGS:
        for kind in marks.KINDS:
            side = next(sides)
            picture = np.asarray(shapes.draw(name, "red", ("blue", kind, side)))
            is_mark = (picture[..., :3] == blue).all(-1) & (picture[..., 3] > 0)
            share = is_mark.sum() / (picture[..., 3] > 0).sum()
            assert 0.04 < share < 0.4, (name, kind, side, share)


def test_painters():
    body = np.ones((10, 10), bool)
    stripe = marks.make_painter("stripe", "left")(body)
    assert stripe[0].tolist() == [False, True, True] + [False] * 7
    assert (marks.make_painter("stripe", "right")(body) == stripe[:, ::-1]).all()
    patch = marks.make_painter("patch", "left")(body)
    assert patch[9, 0] and not patch[0, 0] and not patch[9, 9]
    dot = marks.make_painter("dot", "right")(body)
    assert dot[5, 7] and not dot[5, 2]
