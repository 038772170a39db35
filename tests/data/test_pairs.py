"""Batches of pairs: every record once an epoch, in order, on any number of hosts."""

import collections
import dataclasses

import numpy as np
import pytest

from babyvlm_jax.data.pairs import HeldOutPairs, Pairs, encode_texts, lay_texts
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, write_dataset
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError
from tests.data.conftest import pair_record, picture, say


@pytest.fixture
def pairs(config):
    return dataclasses.replace(
        config, mixture={"pairs": 1.0}, template="plain", seq_len=7, image_size=8
    )


def test_texts_are_cut_at_the_end_but_keep_their_last():
    tokens, mask = lay_texts([[2, 5, 6, 3], [2, 7, 3]], 3)
    assert tokens.tolist() == [[2, 5, 3], [2, 7, 3]]
    tokens, mask = lay_texts([[2, 5, 6, 3], [2, 7, 3]], 5)
    assert tokens.tolist() == [[2, 5, 6, 3, 0], [2, 7, 3, 0, 0]]
    assert mask.sum(axis=1).tolist() == [4, 3]


def test_a_batch_holds_what_its_records_hold(pairs):
    source = Pairs(pairs)
    tokenizer = Tokenizer.load(pairs.tokenizer)
    batch, names = source.batch_at(3), source.ids_at(3)
    assert {k: (v.dtype.name, v.shape) for k, v in batch.items()} == {
        "images": ("uint8", (4, 8, 8, 3)),
        "tokens": ("int32", (4, 7)),
        "text_mask": ("bool", (4, 7)),
        "valid": ("bool", (4,)),
    }
    assert batch["valid"].all()
    numbers = [int(name.removeprefix("pair")) for name in names]
    assert batch["images"][:, 0, 0, 0].tolist() == numbers
    texts = encode_texts(tokenizer, [say(i) for i in numbers], 7)
    np.testing.assert_array_equal(batch["tokens"], texts[0])
    np.testing.assert_array_equal(batch["text_mask"], texts[1])
    assert (batch["tokens"][:, 0] == tokenizer.sos_id).all()


def test_each_epoch_shows_every_record_once_in_another_order(pairs):
    source = Pairs(pairs)
    assert (source.steps_per_epoch, source.num_steps) == (10, None)
    epochs = [
        [name for step in range(10 * e, 10 * e + 10) for name in source.ids_at(step)]
        for e in (0, 1)
    ]
    for names in epochs:
        assert collections.Counter(names) == {f"pair{i}": 1 for i in range(40)}
    assert epochs[0] != epochs[1]


def test_processes_have_slices_of_one_batch(pairs, same):
    whole = Pairs(pairs).batch_at(5)
    halves = [Pairs(pairs).batch_at(5, index, 2) for index in (0, 1)]
    same(whole, {k: np.concatenate([h[k] for h in halves]) for k in whole})


def test_held_out_pairs_come_once_and_say_which_rows_are_real(pairs):
    cfg = dataclasses.replace(pairs, batch_size=16)
    held_out = HeldOutPairs(cfg, "train")
    batches = [held_out.batch_at(i) for i in range(held_out.num_batches)]
    assert [int(b["valid"].sum()) for b in batches] == [16, 16, 8]
    shades = np.concatenate([b["images"][b["valid"], 0, 0, 0] for b in batches])
    assert sorted(shades.tolist()) == list(range(40))
    assert shades.tolist() != sorted(shades.tolist())
    again = HeldOutPairs(dataclasses.replace(cfg, seed=7), "train").batch_at(2)
    np.testing.assert_array_equal(again["tokens"], batches[2]["tokens"])


def test_other_datasets_can_be_held_out(pairs):
    other = dataclasses.replace(pairs, mixture={"elsewhere": 1.0})
    held_out = HeldOutPairs(other, "train", ("pairs",))
    assert held_out.num_batches == 10
    with pytest.raises(UserError, match="no dataset 'elsewhere'"):
        HeldOutPairs(other, "train")


def test_a_process_without_held_out_rows_has_none_that_are_valid(pairs, same):
    cfg = dataclasses.replace(pairs, batch_size=16)
    held_out = HeldOutPairs(cfg, "train")
    slices = [held_out.batch_at(2, index, 4) for index in range(4)]
    assert [int(one["valid"].sum()) for one in slices] == [4, 4, 0, 0]
    whole = held_out.batch_at(2)
    joined = {k: np.concatenate([one[k] for one in slices]) for k in whole}
    real = whole["valid"]
    same({k: v[real] for k, v in whole.items()}, {k: joined[k][real] for k in joined})


def two_pictures(i):
    turns = ((HUMAN, "<image> <image>"), (ASSISTANT, say(i)))
    return Record(f"two{i}", "pairs", (picture(i), picture(i + 1)), turns)


def two_answers(i):
    turns = ((HUMAN, "<image>"), (ASSISTANT, say(i)), (HUMAN, "?"), (ASSISTANT, "a"))
    return Record(f"two{i}", "pairs", (picture(i),), turns)


@pytest.mark.parametrize("make", [two_pictures, two_answers])
def test_what_is_no_pair_is_refused_by_name(pairs, tmp_path, make):
    records = [*map(pair_record, range(3)), make(7)]
    write_dataset(tmp_path, "pairs", {"train": records}, "tests")
    with pytest.raises(UserError, match=r"1 of 4 records are no pairs.*'two7'"):
        Pairs(dataclasses.replace(pairs, shards=str(tmp_path)))


def test_a_template_with_other_words_is_refused(pairs):
    with pytest.raises(UserError, match=r"template 'plain'.*got 'baby_v1'"):
        Pairs(dataclasses.replace(pairs, template="baby_v1"))


def test_a_fraction_keeps_to_some_records(pairs):
    half = Pairs(dataclasses.replace(pairs, fraction=0.5))
    assert half.steps_per_epoch == 5
    first, again = (
        {n for s in range(at, at + 5) for n in half.ids_at(s)} for at in (0, 5)
    )
    assert len(first) == 20
    assert first == again
