"""A picture saved again is the same picture, whatever the processor rounds to."""

import dataclasses
import io

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from data_prep.devcv.audit import CHECKS, checks, facts
from data_prep.devcv.audit.facts import facts_of
from tests.data_prep.devcv.audit import planted

SIDE = 64


def _flat(rng) -> np.ndarray:
    """One colour, a little noisy."""
    return rng.integers(40, 200, 3) + rng.integers(-1, 2, (SIDE, SIDE, 3))


def _blocky(rng) -> np.ndarray:
    """Blocks, which the lowest waves of a cosine transform see as exact zeros."""
    colours = rng.integers(0, 256, (4, 4, 3))
    return colours.repeat(SIDE // 4, axis=0).repeat(SIDE // 4, axis=1)


def _photographic(rng) -> np.ndarray:
    """Noise at all scales, the coarse ones strongest."""
    total = np.zeros((SIDE, SIDE, 3))
    for side in (2, 4, 8, 16):
        noise = rng.normal(size=(side, side, 3)) / side**0.5
        total += scipy.ndimage.zoom(noise, (SIDE / side, SIDE / side, 1), order=1)
    return 255 * (total - total.min()) / np.ptp(total)


def _item(pixels, form="PNG", size=(SIDE, SIDE), **options):
    image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
    file = io.BytesIO()
    image.resize(size, Image.Resampling.LANCZOS).save(file, form, **options)
    turns = (("human", "<image> Point at the cup."), ("assistant", "A"))
    record = dataclasses.replace(planted.localize(0), turns=turns)
    return facts_of(dataclasses.replace(record, images=(file.getvalue(),)), "localize")


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    make=st.sampled_from([_flat, _blocky, _photographic]),
    quality=st.sampled_from([70, 80, 95]),
    size=st.sampled_from([(96, 96), (160, 120), (400, 500)]),
)
def test_a_picture_saved_again_is_the_same(seed, make, quality, size):
    rng = np.random.default_rng(seed)
    first, other = make(rng), make(rng)
    shown = checks._Shown([_item(first)])
    again = _item(first, "JPEG", size, quality=quality, subsampling=0)
    is_flat = make is _flat
    assert shown.has(again) == (False, not is_flat)
    assert shown.has(_item(other)) == (False, False)
    assert shown.has(_item(first)) == (True, True)


@pytest.mark.integration
def test_no_verdict_hangs_on_the_last_bit_of_the_luminance(monkeypatch):
    """Every check of the audit, with each product a bit up or down."""

    def verdicts(task):
        facts = planted.splits(
            task,
            train=planted.clean(task, 20, start=1) + planted.clean(task, 3),
            test=planted.clean(task, 20),
        )
        return [check(task, facts).verdict for check in CHECKS]

    tasks = ("compare_real", "spatialdetails", "leftright")
    exact = [verdicts(task) for task in tasks]
    product, rng = facts.luminance, np.random.default_rng(0)

    def nudged(thumbnails):
        grey = product(thumbnails)
        up, down = np.nextafter(grey, np.float32(1e9)), np.nextafter(grey, -1)
        return rng.permuted(np.stack([up, grey, down.astype(np.float32)]), axis=0)[0]

    monkeypatch.setattr(facts, "luminance", nudged)
    assert [verdicts(task) for task in tasks] == exact
