import io

import pytest
from PIL import Image

from data_prep.stages.sampling import (
    encode_frames,
    shrunk_size,
    times_at_rate,
    times_spread,
)
from tests.data_prep.raw_fixture import grey, write_video


@pytest.mark.parametrize(
    ("span", "fps", "times"),
    [
        ((0.2, 3.4), 1.0, [0.2, 1.2, 2.2, 3.2]),
        ((0.0, 3.0), 1.0, [0.0, 1.0, 2.0]),
        ((4.0, 7.1), 1.0, [4.0, 5.0, 6.0, 7.0]),
        ((1.0, 1.1), 1.0, [1.0]),
        ((0.0, 1.0), 5.0, [0.0, 0.2, 0.4, 0.6, 0.8]),
    ],
)
def test_times_at_rate(span, fps, times):
    assert times_at_rate(*span, fps) == pytest.approx(times)


def test_times_spread():
    assert times_spread(0.0, 4.0, 4) == [0.5, 1.5, 2.5, 3.5]
    assert times_spread(2.0, 3.0, 1) == [2.5]


@pytest.mark.parametrize(
    ("width", "height", "shrunk"),
    [
        (96, 96, (96, 96)),
        (640, 480, (96, 72)),
        (480, 640, (72, 96)),
        (50, 20, (50, 20)),
    ],
)
def test_shrunk_size(width, height, shrunk):
    assert shrunk_size(width, height, 96) == shrunk


def test_frames_are_stored_as_jpeg(tmp_path):
    write_video(tmp_path / "v.mp4", 10)
    skipped = []
    frames = encode_frames(tmp_path / "v.mp4", [7, 2], 16, 92, skipped)
    assert list(frames) == [2, 7]
    assert skipped == []
    image = Image.open(io.BytesIO(frames[7]))
    assert (image.format, image.size) == ("JPEG", (16, 16))
    # Two lossy codecs and the resizing; frames differ by 4 * 5 levels.
    assert abs(image.getpixel((15, 15))[0] - grey(7)) <= 6
