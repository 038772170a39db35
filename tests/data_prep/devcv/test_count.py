"""Counting canvases: as many copies as said, and sizes that say nothing."""

import collections
import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from data_prep.devcv.tasks import TASKS
from data_prep.devcv.tasks import count as counting
from data_prep.devcv.tasks.compare import compare_synthetic, pair_sizes
from data_prep.devcv.tasks.count import places

count, subitize = TASKS["count"].make, TASKS["subitize"].make


def _ink(image: bytes) -> float:
    """Share of the canvas that is not black."""
    pixels = np.asarray(Image.open(io.BytesIO(image)))
    return float((pixels.max(axis=-1) > 40).mean())


@pytest.mark.parametrize("copies", range(1, 13))
@pytest.mark.parametrize("size", [0.15, 0.21])
def test_places_keep_apart(copies, size):
    rng = np.random.default_rng(copies)
    corners = places(rng, copies, size) * (1 - size)
    assert corners.shape == (copies, 2)
    assert corners.min() >= 0 and corners.max() <= 1 - size + 1e-9
    apart = np.abs(corners[:, None] - corners[None]).max(-1)
    assert (apart[np.triu_indices(copies, 1)] >= size - 1e-9).all()


def test_numbers_are_balanced_and_answers_are_digits(bank, rng, style):
    made = list(count(bank, rng, 24, style))
    numbers = collections.Counter(item.meta["number"] for item in made)
    assert numbers == dict.fromkeys(range(1, 13), 2)
    assert all(item.meta["answer"] == str(item.meta["number"]) for item in made)
    few = {item.meta["number"] for item in subitize(bank, rng, 24, style)}
    assert few == {1, 2, 3, 4}


def _size_number_correlation(made):
    sizes = [_ink(item.images[0]) / item.meta["number"] for item in made]
    return np.corrcoef(sizes, [item.meta["number"] for item in made])[0, 1]


@pytest.mark.integration
def test_size_tells_the_number_only_when_leaky(bank, rng, style):
    fair = _size_number_correlation(list(count(bank, rng, 240, style)))
    leaky = _size_number_correlation(
        list(count(bank, rng, 60, replace(style, published=frozenset({"leaky_size"}))))
    )
    # 240 independent pairs: |r| < .17 with 99 %.
    assert abs(fair) < 0.17 and leaky < -0.6


def test_leaky_size_is_the_published_fit():
    assert counting.leaky_size(4) == 0.34


@pytest.mark.parametrize("low", range(1, 10))
def test_pair_sizes_decouple_ink_from_number(low):
    rng = np.random.default_rng(low)
    for high in range(low + 1, 11):
        fewer, more = pair_sizes(rng, low, high, is_tricky=True)
        assert low * fewer**2 > high * more**2
        fewer, more = pair_sizes(rng, low, high, is_tricky=False)
        assert fewer <= more
        assert max(fewer, more) <= counting.largest_size(low)


def test_compare_synthetic(bank, rng, style):
    made = list(compare_synthetic(bank, rng, 60, style))
    letters = collections.Counter(item.meta["answer"] for item in made)
    assert letters == {"A": 30, "B": 30}
    inky = 0
    for item in made:
        a, b = item.meta["numbers"]
        assert item.meta["answer"] == ("A" if a > b else "B")
        assert {a, b} <= set(range(1, 11)) and a != b
        ink = [_ink(image) for image in item.images]
        inky += (ink[0] > ink[1]) == (a > b)
    assert 24 <= inky <= 36  # half by construction; JPEG and small sizes blur a few
