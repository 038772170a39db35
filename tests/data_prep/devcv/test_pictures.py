"""Crops, canvases and the cut-out, by hand-made pixels."""

import io

import numpy as np
from PIL import Image

from data_prep.devcv import items


def _ramp(width, height):
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    return np.stack([x, y, 0 * x], axis=-1).astype(np.uint8)


def test_crop_adds_a_margin_and_stays_in_the_frame():
    image = items.crop(_ramp(50, 40), (10, 20, 10, 5), 0.1)
    assert image.shape == (7, 12, 3)
    assert image[0, 0].tolist() == [9, 19, 0]
    edge = items.crop(_ramp(50, 40), (0, 35, 10, 5), 0.2)
    assert edge.shape == (7, 12, 3)


def test_shrink_never_enlarges():
    assert items.shrink(_ramp(20, 10), 32).shape == (10, 20, 3)
    assert items.shrink(_ramp(80, 40), 32).shape == (16, 32, 3)
    assert items.shrink(_ramp(80, 40), None).shape == (40, 80, 3)


def test_canvas_size_keeps_the_frame_s_shape():
    assert items.canvas_size(640, 480, None) == (640, 480)
    assert items.canvas_size(640, 480, 64) == (64, 48)
    assert items.canvas_size(32, 32, 64) == (32, 32)


def test_flips_of_a_two_by_two_picture():
    image = np.array([[[1], [2]], [[3], [4]]])
    flat = {name: flip(image).ravel().tolist() for name, flip in items.FLIPS.items()}
    assert flat == {
        "identity": [1, 2, 3, 4],
        "horizontal": [2, 1, 4, 3],
        "vertical": [3, 4, 1, 2],
        "both": [4, 3, 2, 1],
    }


def test_paste_puts_copies_where_told():
    white = np.full((4, 8, 3), 255, np.uint8)
    canvas = items.paste(white, (40, 40), 0.2, np.array([[0, 0], [1, 1]]))
    filled = np.argwhere(canvas[..., 0] == 255)
    assert len(filled) == 2 * 4 * 8
    assert filled.min(0).tolist() == [0, 0] and filled.max(0).tolist() == [39, 39]
    middle = items.paste(white, (40, 40), 0.2)
    assert np.argwhere(middle[..., 0]).min(0).tolist() == [18, 16]


def test_encode_is_a_jpeg_of_the_picture():
    image = np.full((16, 24, 3), (200, 30, 60), np.uint8)
    decoded = np.asarray(Image.open(io.BytesIO(items.encode(image))))
    assert decoded.shape == (16, 24, 3)
    assert np.abs(decoded.astype(int) - image).max() <= 3  # JPEG


def test_cut_out_keeps_the_object_and_its_inside():
    image = np.full((10, 10, 3), 200, np.uint8)
    image[3:7, 3:7] = (30, 60, 90)  # a ring around a hole of the background's colour
    image[4:6, 4:6] = 200
    cut = items.cut_out(image)
    assert (cut[3:7, 3:7] == image[3:7, 3:7]).all()
    assert cut.astype(bool).any(axis=-1).sum() == 16
