"""Splits written shard by shard."""

import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.proto import tf_example_pb2

from babyvlm_jax.data import schema
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, RecordSource
from babyvlm_jax.data.shards import publish_split, read_shard, splits_of, write_shard
from babyvlm_jax.runtime.errors import UserError

TURNS = ((HUMAN, "<image>"), (ASSISTANT, "a bäll"))
RECORDS = [
    Record("b", "image_utterance", (b"picture",), TURNS, {"age": 3}),
    Record("a", "frames", (b"other",)),
    Record("c", "text", (), ((ASSISTANT, "hello"),)),
]


def _publish(tmp_path, split, records, name="mine"):
    files, size = [], 0
    for number, record in enumerate(records):
        path = tmp_path / f"{split}{number}"
        count, size_bytes = write_shard(path, [record])
        files.append((path, count))
        size += size_bytes
    return publish_split(tmp_path, name, split, files, size, "for a test")


def test_a_record_is_stored_as_tfds_stores_it():
    features = schema.record_features()
    serializer = tfds.core.example_serializer.ExampleSerializer(
        features.get_serialized_info()
    )
    for record in RECORDS:
        theirs = serializer.serialize_example(
            features.encode_example(schema._to_example(record))
        )
        parse = tf_example_pb2.Example.FromString
        assert parse(schema.serialize(record)) == parse(theirs)


def test_published_shards_are_read_back_in_their_order(tmp_path):
    folder = _publish(tmp_path, "train", RECORDS)
    assert sorted(path.name for path in folder.iterdir()) == [
        "dataset_info.json",
        "features.json",
        "mine-train.array_record-00000-of-00003",
        "mine-train.array_record-00001-of-00003",
        "mine-train.array_record-00002-of-00003",
        "mine-train.hashes-00000-of-00003",
        "mine-train.hashes-00001-of-00003",
        "mine-train.hashes-00002-of-00003",
    ]
    assert list(RecordSource(tmp_path, "mine", "train")) == RECORDS


def test_a_dataset_gains_a_split_and_keeps_the_others(tmp_path):
    assert splits_of(tmp_path, "mine") == {}
    _publish(tmp_path, "train", RECORDS)
    _publish(tmp_path, "val", RECORDS[:1])
    assert splits_of(tmp_path, "mine") == {"train": 3, "val": 1}
    assert list(RecordSource(tmp_path, "mine", "train")) == RECORDS
    assert list(RecordSource(tmp_path, "mine", "val")) == RECORDS[:1]


def test_a_split_joins_what_write_dataset_wrote(tmp_path):
    schema.write_dataset(tmp_path, "mine", {"test": RECORDS}, "built")
    _publish(tmp_path, "train", RECORDS)
    assert splits_of(tmp_path, "mine") == {"test": 3, "train": 3}
    in_any_order = sorted(r.id for r in RecordSource(tmp_path, "mine", "test"))
    assert in_any_order == ["a", "b", "c"]


@pytest.mark.parametrize("moved", [0, 1, 3])
def test_a_killed_publication_goes_on(tmp_path, moved):
    files = []
    for number, record in enumerate(RECORDS):
        path = tmp_path / f"shard{number}"
        write_shard(path, [record])
        files.append((path, 1))
    target = tmp_path / "mine" / "1.0.0.partial"
    target.mkdir(parents=True)
    for number in range(moved):
        place = f"mine-train.array_record-{number:05d}-of-00003"
        files[number][0].rename(target / place)
    publish_split(tmp_path, "mine", "train", files, 9, "for a test")
    assert list(RecordSource(tmp_path, "mine", "train")) == RECORDS
    assert not target.exists()


def test_a_shard_is_whole_or_absent(tmp_path):
    def records():
        yield RECORDS[0]
        raise UserError("no more")

    with pytest.raises(UserError):
        write_shard(tmp_path / "shard", records())
    assert write_shard(tmp_path / "empty", []) == (0, 0)
    assert list(tmp_path.iterdir()) == []


def test_the_same_records_give_the_same_bytes(tmp_path):
    write_shard(tmp_path / "one", RECORDS)
    write_shard(tmp_path / "two", RECORDS)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_a_damaged_description_is_named(tmp_path):
    _publish(tmp_path, "train", RECORDS)
    (tmp_path / "mine" / "1.0.0" / "dataset_info.json").write_text("{")
    with pytest.raises(UserError, match=r"dataset_info\.json is damaged"):
        splits_of(tmp_path, "mine")


def test_a_shard_is_read_back_in_order(tmp_path):
    path = tmp_path / "part.array_record"
    assert list(read_shard(path)) == []
    write_shard(path, RECORDS)
    assert list(read_shard(path)) == RECORDS
