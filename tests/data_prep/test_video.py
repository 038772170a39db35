import av
import numpy as np
import pytest

from babyvlm_jax.errors import UserError
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
    assert video_info(video) == VideoInfo(num_frames=40, fps=5.0, width=32, height=32)
    assert video_info(video).duration_s == 8.0


def test_index_of_a_time():
    info = VideoInfo(num_frames=40, fps=5.0, width=32, height=32)
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
