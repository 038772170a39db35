"""Thumbnails, features, canvases."""

import numpy as np
from PIL import Image

from data_prep.devcv.audit import facts
from tests.data_prep.devcv.audit.planted import blocks, canvas, encode


def _thumbs(*images):
    return np.stack([facts.thumbnail(facts.decoded(image)) for image in images])


def test_unlikeness_orders_pictures():
    thumbs = _thumbs(
        encode(blocks(1)), encode(blocks(1, 96), "JPEG"), encode(blocks(2))
    )
    apart = facts.unlikenesses(thumbs)
    assert apart[0, 0] == 0 and apart[0, 1] < apart[0, 2] / 3
    assert np.isclose(
        facts.differences(thumbs)[0, 2], np.abs(thumbs[0] - thumbs[2]).mean()
    )


def test_features_of_a_plain_and_an_off_centre_picture():
    pixels = np.zeros((32, 32, 3), np.uint8)
    pixels[2:10, 2:10] = 255
    thumbs = _thumbs(encode(pixels), encode(np.full((32, 32, 3), 90, np.uint8)))
    made = facts.features(thumbs, np.array([100.0, 1]), np.array([[32, 16], [8, 8]]))
    named = dict(zip(facts.FEATURES, made.T, strict=True))
    assert np.allclose(named["log bytes"], [np.log(100), 0])
    assert np.allclose(named["log shape"], [np.log(2), 0])
    assert np.allclose(named["black"], [1 - 64 / 1024, 0])
    assert named["off centre"][0] > 0.8 and named["edges"][1] == 0


def test_canvas_measures_copies():
    picture = facts.decoded(canvas(5, 12, seed=0))
    black, ink, side = facts.canvas(picture)
    assert np.isclose(ink, 5 * 12 * 12 / 96**2) and np.isclose(black, 1 - ink)
    assert np.isclose(side, 12 / 96)
    assert facts.canvas(Image.new("RGB", (9, 9))) == (1.0, 0.0, 0.0)
