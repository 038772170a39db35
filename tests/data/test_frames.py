"""Frames: every one once an epoch, resumable, sliced by process."""

import dataclasses

import numpy as np
import pytest

from babyvlm_jax.data.frames import Frames, PictureSource
from babyvlm_jax.data.pipeline import prefetched
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError


def test_frames(config, same):
    frames = dataclasses.replace(config, mixture={"frames": 1.0}, repeats=2)
    made = list(prefetched(Frames(frames), frames, 0))
    assert [step for step, _ in made] == [0, 1, 2, 3, 4, 5]
    shades = np.concatenate([b["images"][:, 0, 0, 0] for _, b in made])
    assert sorted(shades[:10].tolist()) == sorted(shades[10:20].tolist())
    assert sorted(shades[:10].tolist()) == list(range(10))
    assert shades[:10].tolist() != shades[10:20].tolist()
    for step, batch in prefetched(Frames(frames), frames, 2):
        same(batch, made[step][1])
    halves = [
        next(prefetched(Frames(frames), frames, 1, i, 2))[1]["images"] for i in (0, 1)
    ]
    np.testing.assert_array_equal(np.concatenate(halves), made[1][1]["images"])


def test_a_fraction_of_the_frames(config):
    half = dataclasses.replace(
        config, mixture={"frames": 1.0}, repeats=2, fraction=0.5, batch_size=1
    )
    shades = [
        int(batch["images"][0, 0, 0, 0])
        for _, batch in prefetched(Frames(half), half, 0)
    ]
    assert len(set(shades)) == 5
    assert sorted(shades) == sorted(2 * [*set(shades)])


def test_pictures_are_read_once(world, counted):
    source = counted(RecordSource(world.shards, "frames", "train"))
    pictures = PictureSource([source], 4, blank_images=False, cache_bytes=10**6)
    shades = {int(pictures(0, i)[0, 0, 0]) for i in range(10)}
    assert shades == set(range(10))
    pictures(0, 0)
    assert source.reads == 10


def test_blank_frames(config):
    blank = dataclasses.replace(config, mixture={"frames": 1.0}, blank_images=True)
    _, batch = next(prefetched(Frames(blank), blank, 0))
    colours = np.unique(batch["images"].reshape(-1, 3), axis=0)
    assert colours.tolist() == [[123, 116, 103]]


def test_records_without_pictures(world):
    texts = PictureSource([RecordSource(world.shards, "text", "train")], 4, False, 0)
    with pytest.raises(UserError, match="of dataset 'text' has no picture"):
        texts(0, 0)
