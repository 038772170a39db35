"""Made-up batches have the shapes of real ones, and full rows."""

import dataclasses

from babyvlm_jax.data.frames import Frames
from babyvlm_jax.data.pipeline import make_rows
from babyvlm_jax.data.synthetic import synthetic_frames, synthetic_rows


def shapes(batch):
    return {key: (value.shape, value.dtype) for key, value in batch.items()}


def test_rows(config):
    made = synthetic_rows(config, 4, vocab_size=50)
    assert shapes(made) == shapes(make_rows(config).batch_at(0))
    # seven records of <sos>, a picture and seven words; their <eos> are targets
    assert (made["segment_ids"].max(axis=1) == 7).all()
    assert made["image_mask"].all()
    assert (made["segment_ids"] > 0).sum() == 4 * 7 * (64 // 7)
    assert made["loss_mask"].sum() == 4 * 7 * (64 // 7 - 1)
    assert made["targets"].max() < 50


def test_rows_of_text(config):
    text = dataclasses.replace(config, mixture={"text": 1.0}, max_images=0)
    made = synthetic_rows(text, 2, vocab_size=50)
    assert (made["visual_index"] == -1).all()
    assert made["loss_mask"].sum() == 2 * 64


def test_frames(config):
    frames = dataclasses.replace(config, mixture={"frames": 1.0})
    assert shapes(synthetic_frames(config, 4)) == shapes(Frames(frames).batch_at(0))
