"""Sliding windows over the clips of a recording, for interleaved sequences."""

import zlib

import numpy as np


def windows(
    num_clips: int, shortest: int, longest: int, seed: int, recording: str
) -> list[tuple[int, int]]:
    """Draws windows of consecutive clips.

    Each window draws its length; the next begins half a length later. The window that
    reaches the end is the last, and may be shorter than drawn. Lengths 4, 6 over nine
    clips: (0, 4), (2, 8), and from 5 on a window of the four that are left: (5, 9).

    Args:
        num_clips: clips of the recording.
        shortest: least length of a window.
        longest: greatest length.
        seed: with the recording's name it decides the lengths.
        recording: name.

    Returns:
        (first clip, clip after the last) of each window.

    Source: BabyVLM-V2, lengths from 4-8, stride half the window (spec section 1.2).
    """
    rng = np.random.default_rng([seed, zlib.crc32(recording.encode())])
    found, first = [], 0
    while num_clips - first >= shortest:
        length = int(rng.integers(shortest, longest + 1))
        after = min(first + length, num_clips)
        found.append((first, after))
        if after == num_clips:
            break
        first += length // 2
    return found
