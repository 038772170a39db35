"""The batch at step s depends on the config and on s, on nothing else."""

import collections
import dataclasses
import itertools

import numpy as np
import pytest

from babyvlm_jax.data import pipeline
from babyvlm_jax.data.pipeline import DataConfig, batches, frame_batches, make_rows
from babyvlm_jax.errors import UserError


@pytest.fixture(scope="module")
def config(world):
    return DataConfig(
        shards=str(world.shards),
        tokenizer=str(world.tokenizer),
        mixture={"pairs": 3.0, "episodes": 1.0},
        batch_size=4,
        seq_len=64,
        max_images=7,
        image_size=4,
        tokens_per_image=1,
    )


def assert_same(first, second):
    assert first.keys() == second.keys()
    for key in first:
        np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def members(rows, epoch):
    """How often each record comes in an epoch: Counter of (dataset, number)."""
    steps = range(epoch * rows.steps_per_epoch, (epoch + 1) * rows.steps_per_epoch)
    return collections.Counter(
        record
        for step, place in itertools.product(steps, range(4))
        for record in rows.row(step, place)
    )


def test_the_batch_does_not_depend_on_the_number_of_processes(config):
    rows = make_rows(config)
    for step in (0, rows.steps_per_epoch + 1):
        whole = rows.batch_at(step)
        for count in (2, 4):
            parts = [rows.batch_at(step, i, count) for i in range(count)]
            together = {k: np.concatenate([p[k] for p in parts]) for k in whole}
            assert_same(together, whole)


def test_resuming_at_any_step_gives_the_same_batches(config):
    once = dataclasses.replace(config, repeats=2)
    straight = list(batches(once, 0))
    assert [step for step, _ in straight] == list(range(len(straight)))
    assert len(straight) == 2 * make_rows(once).steps_per_epoch
    for start in range(len(straight) + 1):
        resumed = list(batches(once, start))
        assert len(resumed) == len(straight) - start
        for (step, batch), (known, expected) in zip(
            resumed, straight[start:], strict=True
        ):
            assert step == known
            assert_same(batch, expected)


def test_prefetching_changes_nothing(config):
    rows = make_rows(config)
    quiet = dataclasses.replace(config, num_threads=0, prefetch=0, cache_images=False)
    for made in (batches(config, 3), batches(quiet, 3, 0, 1)):
        for step, batch in itertools.islice(made, 5):
            assert_same(batch, rows.batch_at(step))


def test_no_record_is_lost_or_doubled_in_an_epoch(config):
    rows = make_rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    for epoch in range(4):
        assert members(rows, epoch) == {(0, i): 1 for i in range(40)}


def test_the_mixture_keeps_its_shares(config):
    rows = make_rows(config)
    drawn = sum((members(rows, epoch) for epoch in range(8)), collections.Counter())
    share = sum(n for (dataset, _), n in drawn.items() if dataset == 1) / drawn.total()
    # 47 draws an epoch, 12 of them episodes; the last rows of an epoch may wait
    assert share == pytest.approx(12 / 47, abs=0.04)


def test_every_supervised_token_of_an_epoch_is_there(config):
    rows = make_rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    steps = range(rows.steps_per_epoch)
    batch_list = [rows.batch_at(step) for step in steps]
    segments = sum(int(b["segment_ids"].max(axis=1).sum()) for b in batch_list)
    assert segments == sum(int(b["image_mask"].sum()) for b in batch_list) == 40
    shades = np.concatenate(
        [b["images"][b["image_mask"]][:, 0, 0, 0] for b in batch_list]
    )
    assert sorted(shades.tolist()) == list(range(40))


def test_stats(config):
    rows = make_rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    assert rows.stats["records"] == 40
    assert rows.stats["too_long"] == 0
    assert rows.stats["rows"] == -(-40 // 7)  # seven pictures fill a row
    assert rows.stats["fill_images"] == pytest.approx(40 / 42)
    assert rows.stats["steps_per_epoch"] == rows.steps_per_epoch == 2


def test_records_that_are_too_long_are_counted(config, caplog):
    # <sos> user: IMAGE assistant: and one to five words; the fives do not fit
    short = dataclasses.replace(config, seq_len=8, mixture={"pairs": 1.0})
    rows = make_rows(short)
    assert (rows.stats["too_long"], rows.stats["records"]) == (8, 32)
    assert "8 of 40 records are longer than a row of 8 tokens" in caplog.text
    assert sum(members(rows, 0).values()) == 32


def test_blank_images_are_a_control(config):
    blank = make_rows(dataclasses.replace(config, blank_images=True)).batch_at(0)
    seen = make_rows(config).batch_at(0)
    np.testing.assert_array_equal(blank["tokens"], seen["tokens"])
    np.testing.assert_array_equal(blank["image_mask"], seen["image_mask"])
    colours = np.unique(blank["images"][blank["image_mask"]].reshape(-1, 3), axis=0)
    assert colours.tolist() == [[123, 116, 103]]


def test_text_rows(config):
    text = dataclasses.replace(
        config, mixture={"text": 1.0}, template="baby_plain", max_images=0
    )
    _, batch = next(batches(text, 0))
    assert batch["images"].shape == (4, 0, 4, 4, 3)
    assert (batch["visual_index"] == -1).all()
    assert batch["loss_mask"].sum() == (batch["segment_ids"] > 0).sum() > 0


def test_frames(config):
    frames = dataclasses.replace(config, mixture={"frames": 1.0}, repeats=2)
    made = list(frame_batches(frames, 0))
    assert [step for step, _ in made] == [0, 1, 2, 3, 4, 5]
    shades = np.concatenate([b["images"][:, 0, 0, 0] for _, b in made])
    assert sorted(shades[:10].tolist()) == sorted(shades[10:20].tolist())
    assert sorted(shades[:10].tolist()) == list(range(10))
    assert shades[:10].tolist() != shades[10:20].tolist()
    for step, batch in frame_batches(frames, 2):
        assert_same(batch, made[step][1])
    halves = [next(frame_batches(frames, 1, i, 2))[1]["images"] for i in (0, 1)]
    np.testing.assert_array_equal(np.concatenate(halves), made[1][1]["images"])


def test_bad_input(config):
    def change(**fields):
        return dataclasses.replace(config, **fields)

    with pytest.raises(UserError, match="no dataset 'nothing'"):
        make_rows(change(mixture={"nothing": 1.0}))
    with pytest.raises(UserError, match="no split 'val'"):
        make_rows(change(split="val"))
    with pytest.raises(UserError, match="no tokenizer"):
        make_rows(change(tokenizer="nowhere.model"))
    with pytest.raises(UserError, match=r"dataset 'episodes' .* max_images=3"):
        make_rows(change(max_images=1))
    with pytest.raises(UserError, match=r"'frame.*has no turns"):
        make_rows(change(mixture={"frames": 1.0}))
    with pytest.raises(UserError, match="batch_size=4 is not divisible by 3"):
        batches(config, 0, 0, 3)


def test_epochs_of_unequal_length_have_equal_steps(config, monkeypatch):
    """Fewer rows: empty ones, then the first again; more rows: some wait."""
    rows = make_rows(dataclasses.replace(config, mixture={"pairs": 1.0}))
    plan = pipeline.packing.plan

    def unequal(lengths, capacity, seed, epoch):
        made = plan(lengths, capacity, seed, epoch)
        kept = made.rows[:3] if epoch == 1 else made.rows * 3
        return dataclasses.replace(made, rows=kept)

    monkeypatch.setattr(pipeline.packing, "plan", unequal)
    first = [len(rows.row(step, place)) for step in (2, 3) for place in range(4)]
    assert first[3] == 0
    assert first[4:7] == first[:3]
    assert all(rows.row(step, place) for step in (4, 5) for place in range(4))
