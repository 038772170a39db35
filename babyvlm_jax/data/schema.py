"""The record: one conversation with pictures in it, and its form on disk.

Every corpus, instruction and benchmark item is a `Record`. Datasets of records are
ArrayRecord files written through TFDS (no TensorFlow import), one dataset a folder:
`SHARDS/NAME/1.0.0/NAME-SPLIT.array_record-*`. A dataset folder appears whole or not
at all, because TFDS writes beside it and renames.
"""

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import tensorflow_datasets as tfds
from etils import epath
from google.protobuf.message import DecodeError
from tensorflow_datasets.proto import tf_example_pb2

from babyvlm_jax.data.record_files import SUFFIX, RecordFiles, write_file
from babyvlm_jax.runtime.errors import UserError, read_bytes

HUMAN = "human"
ASSISTANT = "assistant"
ROLES = (HUMAN, ASSISTANT)
IMAGE_MARK = "<image>"
VERSION = "1.0.0"

INFO = "dataset_info.json"
AT_ONCE = 32  # ours: records of an iteration in memory; one by one is slower

# what the parser raises on bytes that are no record
_NO_RECORD = (DecodeError, TypeError, IndexError, ValueError)


@dataclasses.dataclass(frozen=True)
class Record:
    """One conversation with pictures.

    Attributes:
        id: stable name; predictions are sorted by it.
        source: `text`, `frames`, `image_utterance`, `video_utterance`, `interleaved`,
            `instruction/TASK` or `eval/TASK`.
        images: encoded JPEG, PNG or WebP files, in the order of their marks.
        turns: (role, text) pairs; `<image>` marks in the text stand for the images.
        meta: JSON-able facts of the item (labels, boxes, clip times, age in days).
    """

    id: str
    source: str
    images: tuple[bytes, ...] = ()
    turns: tuple[tuple[str, str], ...] = ()
    meta: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for role, _ in self.turns:
            if role not in ROLES:
                raise UserError(
                    f"record {self.id!r}: role {role!r} is not one of {ROLES}"
                )
        marks = sum(text.count(IMAGE_MARK) for _, text in self.turns)
        if self.turns and marks != len(self.images):
            raise UserError(
                f"record {self.id!r}: {marks} {IMAGE_MARK} marks in the turns but "
                f"{len(self.images)} images; give one image for each mark"
            )


def record_features() -> tfds.features.FeaturesDict:
    """How TFDS is told what a record looks like on disk."""
    text = tfds.features.Text()
    return tfds.features.FeaturesDict(
        {
            "id": text,
            "source": text,
            "images": tfds.features.Sequence(text),
            "turns": tfds.features.Sequence({"role": text, "text": text}),
            "meta": text,
        }
    )


def _to_example(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "source": record.source,
        "images": list(record.images),
        "turns": [{"role": role, "text": text} for role, text in record.turns],
        "meta": json.dumps(record.meta, sort_keys=True),
    }


def serialize(record: Record) -> bytes:
    """A record as TFDS stores it, its fields always in the same order."""
    example = tf_example_pb2.Example()

    def put(key, values):
        example.features.feature[key].bytes_list.value.extend(values)

    put("id", [record.id.encode()])
    put("source", [record.source.encode()])
    put("images", record.images)
    put("turns/role", [role.encode() for role, _ in record.turns])
    put("turns/text", [text.encode() for _, text in record.turns])
    put("meta", [json.dumps(record.meta, sort_keys=True).encode()])
    return example.SerializeToString(deterministic=True)


def parse_record(serialized: bytes) -> Record:
    """The record of what `serialize` gave."""
    # TFDS would decode each field into an array first: 5 times slower
    features = tf_example_pb2.Example.FromString(serialized).features.feature

    def field(key):
        return features[key].bytes_list.value

    def texts(key):
        return [text.decode() for text in field(key)]

    return Record(
        id=texts("id")[0],
        source=texts("source")[0],
        images=tuple(field("images")),
        turns=tuple(zip(texts("turns/role"), texts("turns/text"), strict=True)),
        meta=json.loads(field("meta")[0]),
    )


def _examples(name, split, records):
    seen = set()
    for record in records:
        if record.id in seen:
            raise UserError(
                f"dataset {name!r}, split {split!r}: two records share the id "
                f"{record.id!r}; ids must be unique within a split"
            )
        seen.add(record.id)
        yield record.id, _to_example(record)


def _drop_empty(splits):
    """TFDS refuses a split without records: leaves it out."""
    for split, records in splits.items():
        records = iter(records)
        for first in records:
            yield split, itertools.chain([first], records)
            break


class LocalInfo(tfds.core.DatasetInfo):
    """Dataset facts that are not looked for in TFDS's public bucket."""

    def initialize_from_bucket(self) -> None:
        """Does nothing: our datasets are not there, and asking needs a network."""


class _OrderedWriter(tfds.core.ExampleWriter):
    """Writes fields in one order, and the hashes of the records.

    TFDS stores a map, whose order differs by process.
    """

    def write(self, path, examples):
        parse = tf_example_pb2.Example.FromString
        ordered = (
            parse(serialized).SerializeToString(deterministic=True)
            for _, serialized in examples
        )
        write_file(path, ordered)


class _Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """TFDS builder over iterables of records; TFDS names it through `name`."""

    VERSION = tfds.core.Version(VERSION)

    def __init__(self, name, splits, description, **kwargs):
        self.name = name
        self._record_splits = splits
        self._description = description
        super().__init__(**kwargs)

    def _info(self):
        return LocalInfo(
            builder=self, description=self._description, features=record_features()
        )

    def _split_generators(self, dl_manager):
        return {
            split: _examples(self.name, split, records)
            for split, records in self._record_splits.items()
        }

    def _example_writer(self):
        return _OrderedWriter(self.info.file_format)

    def _generate_examples(self):
        raise AssertionError("splits bring their own generators")


def dataset_dir(shards: str | os.PathLike, name: str) -> epath.Path:
    """Folder of dataset `name`; it exists exactly when the dataset is whole."""
    return epath.Path(shards) / name / VERSION


def shard_name(name: str, split: str, number: int, count: int) -> str:
    """Name of a shard's file, as TFDS gives it."""
    return f"{name}-{split}{SUFFIX}-{number:05d}-of-{count:05d}"


def read_info(folder: epath.Path) -> tuple[str, dict[str, list[int]]]:
    """What a dataset's description says of its files.

    Args:
        folder: of the dataset.

    Returns:
        What the names of its files begin with, and split -> records of each shard.

    Raises:
        UserError: the description cannot be read.
    """
    path = folder / INFO
    data = read_bytes(path)
    try:
        info = json.loads(data)
        splits = {
            one["name"]: [int(length) for length in one["shardLengths"]]
            for one in info["splits"]
        }
        if min(map(min, splits.values()), default=1) < 1 or "/" in info["name"]:
            raise ValueError("no such name or number of records")
        return str(info["name"]), splits
    except (LookupError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged ({error}); bring it back from a copy, or build the "
            "dataset again"
        ) from None


def write_dataset(
    shards: str | os.PathLike,
    name: str,
    splits: Mapping[str, Iterable[Record]],
    description: str,
) -> epath.Path:
    """Writes one dataset, all of it or nothing; an existing one is left alone.

    The same records and description give the same files, byte for byte.

    Args:
        shards: folder that holds the datasets.
        name: dataset name, lower case with underscores.
        splits: split name -> records (consumed once; TFDS stores them in the order of
            the hash of their ids). A split without records is left out.
        description: what this is and where it comes from.

    Returns:
        The dataset's folder.

    Raises:
        UserError: two records share an id, or no split has a record.
    """
    folder = dataset_dir(shards, name)
    if folder.exists():
        return folder
    splits = dict(_drop_empty(splits))
    if not splits:
        raise UserError(f"dataset {name!r} would hold no record; check its input")
    for killed_write in folder.parent.glob("incomplete.*"):
        killed_write.rmtree()
    with _quiet_tfds(), tempfile.TemporaryDirectory() as downloads:
        _Builder(
            name, splits, description, data_dir=str(shards), file_format="array_record"
        ).download_and_prepare(download_dir=downloads)
    return folder


@contextlib.contextmanager
def _quiet_tfds():
    """TFDS draws a bar per shuffle and split; our commands draw their own."""
    tfds.disable_progress_bar()
    with open(os.devnull, "w") as sink, contextlib.redirect_stdout(sink):
        try:
            yield
        finally:
            tfds.enable_progress_bar()


class RecordSource:
    """Random access to the records of one split.

    `len(source)` is the number of records, `source[i]` a `Record`. Opening compares the
    files with what is stored of them (see `record_files`); each record is compared with
    its hash when it is read.

    Raises:
        UserError: the dataset or the split does not exist, a shard is damaged, or the
            system refuses to read it.
    """

    def __init__(self, shards: str | os.PathLike, name: str, split: str):
        self.shards, self.name, self.split = str(shards), name, split
        self.folder = dataset_dir(shards, name)
        if not self.folder.exists():
            raise UserError(
                f"no dataset {name!r} in {shards}; expected the folder {self.folder}"
            )
        stem, splits = read_info(self.folder)
        if split not in splits:
            raise UserError(
                f"dataset {name!r} has no split {split!r}; it has {sorted(splits)}"
            )
        lengths = splits[split]
        self._what = f"dataset {name!r}, split {split!r}"
        self._files = RecordFiles(
            [
                self.folder / shard_name(stem, split, number, len(lengths))
                for number in range(len(lengths))
            ],
            lengths,
            self._what,
        )

    @property
    def fingerprint(self) -> str:
        """Hash of the split's records and their order; paths and other splits are not
        in it. Shards of the first edition are read once for it."""
        return self._files.fingerprint

    def hash_all(self) -> bool:
        """Stores the hashes of all records; False if they were there already."""
        missing = not self._files.are_hashed
        self._files.hash_all()
        return missing

    @functools.cached_property
    def _first_fingerprint(self) -> str:
        """What the first edition stored: from all splits' names and the files' ends."""
        digest = hashlib.sha256((self.folder / INFO).read_bytes())
        for path in self._files.paths:
            with path.open("rb") as file:
                file.seek(-min(path.stat().length, 2**16), os.SEEK_END)
                digest.update(file.read())
        return digest.hexdigest()[:16]

    def renewed(self, stored: str) -> str:
        """`fingerprint` if the first edition called these records `stored`, or that."""
        is_ours = stored in (self.fingerprint, self._first_fingerprint)
        return self.fingerprint if is_ours else stored

    def faults(self) -> list[str]:
        """Reads all records; a line for each file that is not as it was written."""
        return self._files.faults()

    def __len__(self) -> int:
        return len(self._files)

    def __getitem__(self, index: int) -> Record:
        return self.read([index])[0]

    def read(self, indices: Sequence[int]) -> list[Record]:
        """The records of these numbers, asked for together.

        Raises:
            UserError: one of them is damaged.
        """
        read = self._files.read(indices)
        return [self._parsed(i, one) for i, one in zip(indices, read, strict=True)]

    def _parsed(self, index, serialized) -> Record:
        try:
            return parse_record(serialized)
        except _NO_RECORD as error:
            why = " ".join(str(error).split())[:200]
            raise UserError(
                f"{self._what} in {self.folder}: record {index} of {len(self)} is none "
                f"that this program wrote ({why}); build the dataset again"
            ) from None

    def __iter__(self) -> Iterator[Record]:
        for first in range(0, len(self), AT_ONCE):
            yield from self.read(range(first, min(first + AT_ONCE, len(self))))

    def __repr__(self) -> str:
        return f"RecordSource({str(self.folder)!r}, split={self.split!r})"
