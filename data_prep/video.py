"""Reads frames out of video files (PyAV), skipping what cannot be decoded.

A frame's index is its rank among the times that the container lists: it stays right
where frames before it are lost, and where the rate varies. Frames are turned and
flipped as players show them. Axes: H height, W width.
"""

import bisect
import contextlib
import dataclasses
import functools
import logging
import os
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from babyvlm_jax.runtime.errors import (
    UserError,
    check_file,
    explain_system_fault,
    raise_system_fault,
)

MOST_MISSING_S = 1.0  # ours: of what a container declares
logging.getLogger("libav").setLevel(logging.CRITICAL)  # we report losses ourselves


@dataclasses.dataclass(frozen=True)
class VideoInfo:
    """A video's frames in time.

    Attributes:
        times_s: when each frame is shown, rising, counted from the first.
        duration_s: until the last frame ends.
        width, height: in pixels, as shown.
    """

    times_s: tuple[float, ...]
    duration_s: float
    width: int
    height: int

    @property
    def num_frames(self) -> int:
        return len(self.times_s)

    @property
    def fps(self) -> float:
        """Frames per second on average."""
        return self.num_frames / self.duration_s

    def frame_index(self, time_s: float) -> int:
        """Index of the frame shown at `time_s`, within the video."""
        # 1e-6: 2.4 s at 5 fps is frame 12, not 11 (float error).
        return max(bisect.bisect_right(self.times_s, time_s + 1e-6) - 1, 0)


def video_info(path: str | Path) -> VideoInfo:
    """Reads the times of a video's frames, and decodes the first one.

    Raises:
        UserError: the file is missing, cut short, or holds no video.
    """
    ticks, last, unit = _scan(path)
    with _open(path) as (container, stream):
        shapes = (_upright(frame, path).shape for frame in _decode(container, stream))
        height, width, _ = next(shapes, (stream.height, stream.width, 3))
    times_s = tuple(float((tick - ticks[0]) * unit) for tick in ticks)
    return VideoInfo(times_s, float((last - ticks[0]) * unit), width, height)


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
    index_of = {tick: index for index, tick in enumerate(_scan(path)[0])}
    missing = set(range(len(index_of)) if indices is None else indices)
    last = max(missing, default=-1)
    with _open(path) as (container, stream):
        for frame in _decode(container, stream):
            index = index_of.get(_tick(frame))
            if index in missing:
                missing.remove(index)
                yield index, _upright(frame, path)
            if index is not None and index >= last:
                break
    if skipped is not None:
        skipped.extend(sorted(missing))


@contextlib.contextmanager
def _open(path):
    check_file(path)
    try:
        container = av.open(str(path))
    except FileNotFoundError:
        raise UserError(f"{path}: the video is missing") from None
    except (av.error.FFmpegError, OSError) as error:
        raise_system_fault(error, path)
        if why := explain_system_fault(error):  # no damage, but this file's own
            raise UserError(f"{path}: the video cannot be read: {why}") from None
        raise UserError(
            f"{path}: not a whole video file (cut short or damaged: {error.strerror})"
        ) from None
    with container:
        if not container.streams.video:
            raise UserError(f"{path}: the file holds no video stream")
        yield container, container.streams.video[0]


def _scan(path) -> tuple[tuple[int, ...], int, Fraction]:
    """When frames are shown (rising), when the last one ends, seconds of a tick."""
    try:
        found = os.stat(path)
    except OSError:
        return _scan_file.__wrapped__(path, 0, 0)  # says why it cannot be opened
    return _scan_file(path, found.st_size, found.st_mtime_ns)


@functools.lru_cache(maxsize=4)  # a video is looked at, then read: demux it once
def _scan_file(path, size_bytes: int, mtime_ns: int):
    with _open(path) as (container, stream):
        needed = max((one.pos + one.size for one in stream.index_entries), default=0)
        if needed > size_bytes:
            raise UserError(
                f"{path}: the video is cut short ({size_bytes} bytes of at least "
                f"{needed}); copy the file again"
            )
        ends, unit = {}, stream.time_base
        try:
            for packet in container.demux(stream):
                if packet.size and not packet.is_discard and _tick(packet) is not None:
                    ends[_tick(packet)] = _tick(packet) + (packet.duration or 0)
        except av.error.FFmpegError as error:
            raise UserError(
                f"{path}: the video is cut short or damaged ({error.strerror}); copy "
                "the file again"
            ) from None
        declared_s = _declared_s(stream)
    if not ends:
        raise UserError(f"{path}: the video has no frames")
    ticks = tuple(sorted(ends))
    usual = (ticks[-1] - ticks[0]) // max(len(ticks) - 1, 1)
    last = ends[ticks[-1]]
    if last == ticks[-1]:  # its length is not told
        last = ticks[-1] + max(usual, 1)
    found_s = float((last - ticks[0]) * unit)
    if found_s < declared_s - MOST_MISSING_S:
        raise UserError(
            f"{path}: the video is cut short ({found_s:.1f} of {declared_s:.1f} s); "
            "copy the file again"
        )
    return ticks, last, unit


def _tick(timed) -> int | None:
    """When a packet or frame is shown; AVI may tell the order of decoding alone."""
    return timed.dts if timed.pts is None else timed.pts


def _declared_s(stream) -> float:
    """Length that Matroska declares, which has no list of all frames; 0 if none."""
    parts = stream.metadata.get("DURATION", "0").split(":")
    try:
        return sum(float(part) * 60**k for k, part in enumerate(reversed(parts)))
    except ValueError:
        return 0.0


def _upright(frame, path) -> np.ndarray:
    """u8[H, W, 3] as shown, after the display matrix of its container.

    Raises:
        UserError: the matrix turns by another angle than quarters.
    """
    rgb = VideoReformatter().reformat(frame, format="rgb24", threads=1).to_ndarray()
    data = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return rgb
    # x' = a x + c y, y' = b x + d y, in units of 1 / 2**16
    a, b, _, c, d = np.frombuffer(data, np.int32)[:5].tolist()
    if a and d and not (b or c):
        return rgb[:: np.sign(d), :: np.sign(a)]
    if b and c and not (a or d):
        return rgb.transpose(1, 0, 2)[:: np.sign(b), :: np.sign(c)]
    raise UserError(
        f"{path}: frames are turned by {frame.rotation} degrees; expected a multiple "
        "of 90"
    )


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
