"""Gives every recording one split; nothing smaller than a recording is ever split."""

import random
from collections.abc import Callable, Sequence

from data_prep.raw import Recording


def assign_splits(
    recordings: Sequence[Recording], has_speech: Callable[[str], bool], seed: int
) -> dict[str, str]:
    """Takes the corpus's splits, and makes them where it gives none.

    Recordings with speech are for training; those without are halved into val and
    test, by length.

    Args:
        recordings: all of the corpus.
        has_speech: whether a recording (its name) has a usable utterance; asked only
            about recordings without a split.
        seed: of the order in which silent recordings are dealt out.

    Returns:
        recording name -> split.

    Source: BabyVLM-V2 (spec section 1.3).
    """
    splits = {r.recording: r.split for r in recordings if r.split is not None}
    silent = []
    for recording in recordings:
        if recording.recording in splits:
            continue
        if has_speech(recording.recording):
            splits[recording.recording] = "train"
        else:
            silent.append(recording)
    silent.sort(key=lambda recording: recording.recording)
    random.Random(seed).shuffle(silent)
    seconds = {"val": 0.0, "test": 0.0}
    for recording in silent:
        split = min(seconds, key=seconds.get)
        splits[recording.recording] = split
        seconds[split] += recording.duration_s
    return splits
