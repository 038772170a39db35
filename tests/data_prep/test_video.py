import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.video import VideoInfo, read_frames, video_info
from tests.data_prep.raw_fixture import damage_frame, grey, write_video


@pytest.fixture
def video(tmp_path):
    write_video(tmp_path / "v.mp4", 40)
    return tmp_path / "v.mp4"


def _shades(frames):
    """Frame index -> grey level at a corner, away from the square."""
    return {index: int(frame[-1, -1, 0]) for index, frame in frames}


def test_info(video):
    info = video_info(video)
    assert (info.num_frames, info.duration_s, info.fps) == (40, 8.0, 5.0)
    assert (info.width, info.height) == (32, 32)


def test_index_of_a_time():
    info = VideoInfo(tuple(k / 5 for k in range(40)), 8.0, 32, 32)
    times = (-1.0, 0.0, 0.19, 0.2, 2.4, 7.99, 9.0)
    assert [info.frame_index(t) for t in times] == [0, 0, 0, 1, 12, 39, 39]


def test_wanted_frames_in_order(video):
    skipped = []
    shades = _shades(read_frames(video, [30, 3, 39, 3, 0], skipped))
    assert list(shades) == [0, 3, 30, 39]
    assert skipped == []
    for index, shade in shades.items():
        assert abs(shade - grey(index)) <= 3  # lossy codec


def test_all_frames(video):
    frames = dict(read_frames(video))
    assert list(frames) == list(range(40))
    assert frames[0].shape == (32, 32, 3)
    assert frames[0].dtype == np.uint8


def test_damage_loses_frames_up_to_the_next_key_frame(video):
    damage_frame(video, 13)
    skipped = []
    shades = _shades(read_frames(video, None, skipped))
    assert 13 in skipped
    assert sorted([*shades, *skipped]) == list(range(40))
    assert set(range(20, 40)) <= set(shades)  # key frames: 0, 10, 20, 30
    assert max(skipped) < 20
    for index, shade in shades.items():
        assert abs(shade - grey(index)) <= 3


def test_missing_video(tmp_path):
    with pytest.raises(UserError, match=r"none\.mp4: the video is missing"):
        video_info(tmp_path / "none.mp4")


@pytest.mark.parametrize("left", [0.3, 0.99])
def test_video_cut_short(video, left):
    data = video.read_bytes()
    video.write_bytes(data[: int(len(data) * left)])
    with pytest.raises(UserError, match=r"v\.mp4.*cut short"):
        next(read_frames(video))


def test_no_video_at_all(tmp_path):
    (tmp_path / "empty.mp4").write_bytes(b"")
    with pytest.raises(UserError, match=r"empty\.mp4: not a whole video"):
        video_info(tmp_path / "empty.mp4")
    sound = tmp_path / "sound.mp4"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("aac", rate=16000)
        silence = av.AudioFrame(format="fltp", layout="mono", samples=1024)
        silence.sample_rate = 16000
        for plane in silence.planes:
            plane.update(bytes(plane.buffer_size))
        container.mux(stream.encode(silence))
        container.mux(stream.encode())
    with pytest.raises(UserError, match=r"sound\.mp4: the file holds no video"):
        video_info(sound)


# x' = a x + c y, y' = b x + d y; each shows red over blue, or what is said
_TURNS = {
    "not turned": ((1, 0, 0, 1), "red over blue"),
    "90 clockwise": ((0, 1, -1, 0), "blue left of red"),
    "180": ((-1, 0, 0, -1), "blue over red"),
    "270 clockwise": ((0, -1, 1, 0), "red left of blue"),
    "mirrored": ((-1, 0, 0, 1), "red over blue"),
    "upside down": ((1, 0, 0, -1), "blue over red"),
}


@pytest.mark.parametrize("turn", _TURNS)
def test_frames_are_shown_as_players_show_them(tmp_path, turn):
    path, (matrix, said) = tmp_path / "v.mp4", _TURNS[turn]
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:16], pixels[16:] = (255, 0, 0), (0, 0, 255)
    _write(path, [pixels] * 3, range(3), 10)
    _turn(path, matrix)
    info = video_info(path)
    ((_, frame),) = read_frames(path, [1])
    assert frame.shape == (info.height, info.width, 3)
    assert info.width == (64 if matrix[0] else 32)
    first, last = frame[1, 1], frame[-2, -2]
    assert ("red" if first[0] > first[2] else "blue") == said.split()[0]
    assert ("red" if last[0] > last[2] else "blue") == said.split()[-1]


def test_a_turn_by_half_a_quarter_is_refused(tmp_path):
    path = tmp_path / "v.mp4"
    _write(path, [np.zeros((32, 32, 3), np.uint8)] * 2, range(2), 10)
    _turn(path, (0.7, 0.7, -0.7, 0.7))
    with pytest.raises(UserError, match=r"v\.mp4: frames are turned by .* degrees"):
        list(read_frames(path))


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
def test_frames_are_found_by_time_whatever_the_rate(tmp_path, kind):
    """With dropped frames, in containers with and without a list of frames."""
    path, rng = tmp_path / "v.mp4", np.random.default_rng(0)
    gaps = np.ones(99, int) if kind == "avi" else rng.choice([1, 1, 2, 3], 99)
    ticks = [0, *np.cumsum(gaps).tolist()]
    frames = [np.full((16, 16, 3), 40 + 2 * k, np.uint8) for k in range(100)]
    codec = "mpeg4" if kind == "avi" else "libx264"
    _write(path, frames, ticks, 30, format=kind, codec=codec)
    info, skipped = video_info(path), []
    shades = _shades(read_frames(path, skipped=skipped))
    assert (info.num_frames, skipped) == (100, [])
    # a lossy codec shifts grey levels by a few
    assert all(abs(shades[k] - 40 - 2 * k) <= 5 for k in range(100))
    assert info.times_s == pytest.approx(np.array(ticks) / 30, abs=1e-3)
    for time_s in np.linspace(0, info.duration_s, 50):
        shown = max(k for k in range(100) if info.times_s[k] <= time_s + 1e-6)
        assert info.frame_index(time_s) == shown


def test_half_a_matroska_file_is_cut_short(tmp_path):
    path = tmp_path / "v.mkv"
    noise = np.random.default_rng(0).integers(0, 256, (90, 32, 32, 3), dtype=np.uint8)
    _write(path, noise, range(90), 30, format="matroska")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(UserError, match=r"v\.mkv: the video is cut short"):
        video_info(path)


def _write(path, frames, ticks, fps, codec="libx264", **kind):
    with av.open(str(path), "w", **kind) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for pixels, tick in zip(frames, ticks, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = tick, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _turn(path, matrix):
    """Overwrites the display matrix of the track."""
    data = bytearray(path.read_bytes())
    start = data.find(b"tkhd") + 44
    a, b, c, d = (round(one * 2**16) for one in matrix)
    struct.pack_into(">9i", data, start, a, b, 0, c, d, 0, 0, 0, 2**30)
    path.write_bytes(data)
