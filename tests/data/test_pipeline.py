"""The batch at step s depends on the config and on s, on nothing else."""

import dataclasses
import functools
import itertools

import numpy as np
import pytest

from babyvlm_jax.data import sources
from babyvlm_jax.data.pipeline import make_rows, prefetched
from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.runtime.errors import UserError


def test_the_batch_does_not_depend_on_the_number_of_processes(config, same):
    rows = make_rows(config)
    for step in (0, rows.steps_per_epoch + 1):
        whole = rows.batch_at(step)
        for count in (2, 4):
            parts = [rows.batch_at(step, i, count) for i in range(count)]
            together = {k: np.concatenate([p[k] for p in parts]) for k in whole}
            same(together, whole)


@pytest.mark.parametrize("rows", ["packed", "single", "length_grouped"])
def test_going_on_with_another_number_of_processes(config, same, rows):
    """Steps 0 and 1 on two processes, the rest on four, then on one."""
    once = dataclasses.replace(config, repeats=1, rows=rows)
    straight = [batch for _, batch in prefetched(make_rows(once), once, 0)]
    assert len(straight) >= 3
    for start, count, threads in ((0, 2, 1), (2, 4, 3), (1, 1, 0)):
        changed = dataclasses.replace(once, num_threads=threads)
        parts = [
            list(prefetched(make_rows(changed), changed, start, i, count))
            for i in range(count)
        ]
        for step, made in enumerate(zip(*parts, strict=True), start=start):
            assert {number for number, _ in made} == {step}
            whole = {
                key: np.concatenate([batch[key] for _, batch in made])
                for key in straight[step]
            }
            same(whole, straight[step])


def test_every_segment_names_its_dataset(config):
    batch = make_rows(config).batch_at(0)
    pictures_of = {0: 3, 1: 1}  # episodes, pairs
    for row in range(4):
        for segment in range(1, batch["segment_ids"][row].max() + 1):
            mine = batch["segment_ids"][row] == segment
            (source,) = set(batch["sources"][row, mine].tolist())
            pictures = len(set(batch["visual_index"][row, mine].tolist()) - {-1})
            assert pictures == pictures_of[source]


def talk(name, said):
    return Record(
        name, "chat", (), (("human", "look at the ball"), ("assistant", said))
    )


def test_records_with_nothing_to_learn_are_left_out(config, tmp_path, caplog):
    asked = Record("asked", "chat", (), (("human", "look at the ball"),))
    made = [asked, talk("snow", "\u2603"), talk("red", "red"), talk("ball", "ball")]
    write_dataset(tmp_path, "chat", {"train": made}, "d")
    cfg = dataclasses.replace(config, shards=str(tmp_path), mixture={"chat": 1.0})
    rows = make_rows(cfg)
    assert (rows.stats["records"], rows.stats["mute"]) == (2, 2)
    assert "2 of 4 records have nothing to learn" in caplog.text
    batch = rows.batch_at(0)
    assert batch["loss_mask"].sum() == 4  # red, ball, and an <eos> each


def test_a_dataset_with_nothing_to_learn_is_an_error(config, tmp_path):
    snow = [talk(f"q{i}", "\u2603") for i in range(4)]
    write_dataset(tmp_path, "snow", {"train": snow}, "d")
    mute = dataclasses.replace(config, shards=str(tmp_path), mixture={"snow": 1.0})
    with pytest.raises(UserError, match=r"'snow': 4 of 4 .* \['q\d', .*check the tok"):
        make_rows(mute)


def test_a_record_that_lost_its_supervised_tokens_is_an_error(config, monkeypatch):
    """On every process: what a slice holds does not decide whether a batch is good."""
    rows = make_rows(config)
    encode = sources.encode

    def unlearnt(record, **how):
        made = encode(record, **how)
        return dataclasses.replace(made, loss_mask=np.zeros_like(made.loss_mask))

    monkeypatch.setattr(rows._examples, "_encode", functools.partial(
        unlearnt, **rows._examples._encode.keywords))  # fmt: skip
    for index in range(2):
        with pytest.raises(UserError, match=r"record '\w+' of step 0 has no superv"):
            rows.batch_at(0, index, 2)


def test_no_batch_is_empty(config):
    """Of a row each, where a later epoch packs into fewer rows than there are steps."""
    rows = make_rows(dataclasses.replace(config, batch_size=1, mixture={"pairs": 1.0}))
    rows.steps_per_epoch += 2
    for step in range(2 * rows.steps_per_epoch):
        assert rows.batch_at(step)["loss_mask"].any()


def test_resuming_at_any_step_gives_the_same_batches(config, same):
    once = dataclasses.replace(config, repeats=2)
    straight = list(prefetched(make_rows(once), once, 0))
    assert [step for step, _ in straight] == list(range(len(straight)))
    assert len(straight) == 2 * make_rows(once).steps_per_epoch
    for start in range(len(straight) + 1):
        resumed = list(prefetched(make_rows(once), once, start))
        assert len(resumed) == len(straight) - start
        for (step, batch), (known, expected) in zip(
            resumed, straight[start:], strict=True
        ):
            assert step == known
            same(batch, expected)


def test_prefetching_changes_nothing(config, same):
    rows = make_rows(config)
    quiet = dataclasses.replace(config, num_threads=0, prefetch=0, cache_images=False)
    for made in (
        prefetched(make_rows(config), config, 3),
        prefetched(make_rows(quiet), quiet, 3, 0, 1),
    ):
        for step, batch in itertools.islice(made, 5):
            same(batch, rows.batch_at(step))


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
    _, batch = next(prefetched(make_rows(text), text, 0))
    assert batch["images"].shape == (4, 0, 4, 4, 3)
    assert (batch["visual_index"] == -1).all()
    assert batch["loss_mask"].sum() == (batch["segment_ids"] > 0).sum() > 0


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
        make_rows(change(max_images=0))
    with pytest.raises(UserError, match=r"'frame.*has no turns"):
        make_rows(change(mixture={"frames": 1.0}))
    with pytest.raises(UserError, match="batch_size=4 is not divisible by 3"):
        prefetched(make_rows(config), config, 0, 0, 3)


def test_the_order_of_the_mixture_does_not_matter(config, same):
    turned = dataclasses.replace(config, mixture={"episodes": 2.0, "pairs": 6.0})
    for step in (0, 3):
        same(make_rows(turned).batch_at(step), make_rows(config).batch_at(step))


def test_a_damaged_picture_stops_the_batches_by_name(config, tmp_path):
    turns = (("human", "<image>"), ("assistant", "a ball"))
    bad = Record("bad7", "image_utterance", (b"junk",), turns)
    write_dataset(tmp_path, "bad", {"train": [bad]}, "d")
    broken = dataclasses.replace(config, shards=str(tmp_path), mixture={"bad": 1.0})
    with pytest.raises(UserError, match="record 'bad7', image 1 of 1"):
        next(prefetched(make_rows(broken), broken, 0))
