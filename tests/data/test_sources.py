"""What is kept in memory, what is read again, and whose fault a bad record is."""

import numpy as np
import pytest

from babyvlm_jax.data.schema import Record, RecordSource, write_dataset
from babyvlm_jax.data.sources import ByteBudget, ExampleSource
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.runtime.errors import UserError


def examples(world, source, blank_images=False, cache_images_bytes=10**6):
    tokenizer = Tokenizer.load(world.tokenizer)
    return ExampleSource(
        [source],
        tokenizer,
        "baby_v1",
        1,
        4,
        True,
        blank_images,
        cache_images_bytes,
    )


def test_byte_budget():
    budget = ByteBudget(10)
    budget.put("a", 1, 6)
    budget.put("b", 2, 6)
    budget.put("a", 3, 0)
    budget.put("c", 4, 4)
    assert [budget.get(key) for key in "abc"] == [1, None, 4]


@pytest.mark.parametrize("cache_bytes,reads", [(10**6, 1), (0, 3)])
def test_records_are_read_once_if_there_is_room(world, counted, cache_bytes, reads):
    source = counted(RecordSource(world.shards, "pairs", "train"))
    make = examples(world, source, cache_images_bytes=cache_bytes)
    seen = [make([(0, 5)])[0] for _ in range(3)]
    assert source.reads == reads
    for example in seen[1:]:
        np.testing.assert_array_equal(example.images, seen[0].images)
        np.testing.assert_array_equal(example.encoded.tokens, seen[0].encoded.tokens)


def test_text_is_read_once_whatever_the_room_for_pictures(world, counted):
    source = counted(RecordSource(world.shards, "text", "train"))
    make = examples(world, source, cache_images_bytes=0)
    assert make([(0, 5)])[0].images == []
    make([(0, 5)])
    assert source.reads == 1


def test_blank_pictures(world):
    source = RecordSource(world.shards, "episodes", "train")
    images = examples(world, source, blank_images=True)([(0, 0)])[0].images
    assert [image.shape for image in images] == [(4, 4, 3)] * 3
    colours = np.unique(np.reshape(images, (-1, 3)), axis=0)
    assert colours.tolist() == [[123, 116, 103]]


def test_an_undecodable_picture_names_its_record(world, tmp_path):
    turns = (("human", "<image>"), ("assistant", "a ball"))
    write_dataset(tmp_path, "d", {"train": [Record("bad7", "x", (b"?",), turns)]}, "d")
    source = RecordSource(tmp_path, "d", "train")
    with pytest.raises(UserError, match="record 'bad7', image 1 of 1"):
        examples(world, source)([(0, 0)])


def test_a_batch_is_read_at_once_and_keeps_its_order(world, counted):
    pairs = counted(RecordSource(world.shards, "pairs", "train"))
    text = counted(RecordSource(world.shards, "text", "train"))
    make = ExampleSource(
        [pairs, text], Tokenizer.load(world.tokenizer), "baby_v1", 1, 4, True, False, 0
    )
    asked = [(0, 7), (1, 3), (0, 2), (0, 7)]
    made = make(asked)
    assert [example.source for example in made] == [0, 1, 0, 0]
    ids = [example.encoded.id for example in made]
    assert ids == [pairs[7].id, text[3].id, pairs[2].id, pairs[7].id]
    assert (pairs.calls, text.calls) == (1, 1)
