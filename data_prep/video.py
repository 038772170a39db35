"""Reads frames out of video files (PyAV), skipping what cannot be decoded.

A frame's index is its time on the video's own frame rate, counted from the first
frame: it stays right where frames before it are lost. Axes: H height, W width.
"""

import contextlib
import dataclasses
import logging
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from babyvlm_jax.errors import UserError, raise_system_fault

logging.getLogger("libav").setLevel(logging.CRITICAL)  # we report losses ourselves


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """What the container says of its video stream."""

    num_frames: int
    fps: float
    width: int
    height: int

    @property
    def duration_s(self) -> float:
        return self.num_frames / self.fps

    def frame_index(self, time_s: float) -> int:
        """Index of the frame shown at `time_s`, within the video."""
        # 1e-6: 2.4 s at 5 fps is frame 12, not 11 (float error).
        index = int(time_s * self.fps + 1e-6)
        return min(max(index, 0), self.num_frames - 1)


def video_info(path: str | Path) -> VideoInfo:
    """Looks at a video without decoding it.

    Raises:
        UserError: the file is missing, cut short, or holds no video.
    """
    with _open(path) as (_, stream):
        return _info(path, stream)


def read_frames(
    path: str | Path,
    indices: Iterable[int] | None = None,
    skipped: list[int] | None = None,
) -> Iterator[tuple[int, np.ndarray]]:
    """Decodes frames in order; those that cannot be decoded are left out.

    After damage nothing is yielded up to the next key frame: what a codec makes of
    lost references looks like a picture but is none.

    Args:
        path: the video file.
        indices: frames to yield (any order, repeats allowed), None for all.
        skipped: receives the wanted indices that could not be decoded.

    Yields:
        (frame index, u8[H, W, 3] RGB), indices rising.

    Raises:
        UserError: the file is missing, cut short, or holds no video.
    """
    with _open(path) as (container, stream):
        info = _info(path, stream)
        wanted = set(range(info.num_frames) if indices is None else indices)
        missing = set(wanted)
        last = max(wanted, default=-1)
        to_rgb = VideoReformatter()
        for frame in _decode(container, stream):
            index = _index(frame, stream)
            if index in missing:
                missing.remove(index)
                rgb = to_rgb.reformat(frame, format="rgb24", threads=1)
                yield index, rgb.to_ndarray()
            if index >= last:
                break
    if skipped is not None:
        skipped.extend(sorted(missing))


@contextlib.contextmanager
def _open(path):
    try:
        container = av.open(str(path))
    except FileNotFoundError:
        raise UserError(f"{path}: the video is missing") from None
    except (av.error.FFmpegError, OSError) as error:
        raise_system_fault(error, path)
        raise UserError(
            f"{path}: not a whole video file (cut short or damaged: {error.strerror})"
        ) from None
    with container:
        if not container.streams.video:
            raise UserError(f"{path}: the file holds no video stream")
        yield container, container.streams.video[0]


def _info(path, stream) -> VideoInfo:
    entries = stream.index_entries
    size_bytes = Path(path).stat().st_size
    if len(entries):
        needed = max(entry.pos + entry.size for entry in entries)
        if needed > size_bytes:
            raise UserError(
                f"{path}: the video is cut short ({size_bytes} bytes of at least "
                f"{needed}); copy the file again"
            )
    fps = stream.average_rate
    num_frames = stream.frames or len(entries)
    if not num_frames and fps and stream.duration:
        num_frames = int(stream.duration * stream.time_base * fps)
    if not fps or not num_frames:
        raise UserError(f"{path}: the video has no frame rate or no frames")
    return VideoInfo(num_frames, float(fps), stream.width, stream.height)


def _decode(container, stream):
    """Frames of the stream; after an error, from the next key frame on."""
    codec = stream.codec_context
    codec.options = {"err_detect": "explode"}  # raise, rather than paint over damage
    codec.thread_count = 1  # recordings already run in parallel
    waiting = False
    for packet in container.demux(stream):
        flushing = packet.size == 0
        if waiting and not (packet.is_keyframe or flushing):
            continue
        waiting = False
        try:
            frames = packet.decode()
        except av.error.FFmpegError:
            if not flushing:
                codec.flush_buffers()
            waiting = True
            continue
        yield from (frame for frame in frames if not frame.is_corrupt)


def _index(frame, stream) -> int:
    start = stream.start_time or 0
    time_s = (frame.pts - start) * stream.time_base
    return int(time_s * Fraction(stream.average_rate) + Fraction(1, 2))
