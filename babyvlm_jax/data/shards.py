"""A split written shard by shard: in any order, by any process, then published.

`schema.write_dataset` writes small datasets in one go. Large ones are cut into chunks;
`write_shard` makes the file of a chunk, `publish_split` names the files as TFDS does
and tells the dataset of them. The order of the records is kept.
"""

import itertools
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import tensorflow_datasets as tfds
from etils import epath

from babyvlm_jax.data.record_files import (
    AT_ONCE,
    RecordFiles,
    hashes_path,
    read_hashes,
    write_file,
)
from babyvlm_jax.data.schema import (
    INFO,
    VERSION,
    LocalInfo,
    Record,
    dataset_dir,
    parse_record,
    read_info,
    record_features,
    serialize,
    shard_name,
)
from babyvlm_jax.runtime import lock

LOCK = ".lock"  # beside a dataset's version, for as long as a split joins it
WAIT_S = 60  # ours: joining takes a second
_TEMPLATE = "{DATASET}-{SPLIT}.{FILEFORMAT}-{SHARD_X_OF_Y}"


def write_shard(path: str | os.PathLike, records: Iterable[Record]) -> tuple[int, int]:
    """Writes one ArrayRecord file and its hashes; see `record_files`.

    Args:
        path: the file, on a local disk. Without a record it is not made.
        records: consumed once, one in memory at a time.

    Returns:
        The number of records and the sum of their sizes in bytes.
    """
    records = iter(records)
    for first in records:
        return write_file(path, map(serialize, itertools.chain([first], records)))
    return 0, 0


def read_shard(path: str | os.PathLike) -> Iterator[Record]:
    """The records of a file of `write_shard`, in order; none if it was not made.

    Raises:
        UserError: the file is not as it was written.
    """
    if (hashes := read_hashes(path)) is None:
        return
    count = len(hashes)
    files = RecordFiles([epath.Path(path)], [count], str(path))
    for first in range(0, count, AT_ONCE):
        for one in files.read(range(first, min(first + AT_ONCE, count))):
            yield parse_record(one)


def splits_of(shards: str | os.PathLike, name: str) -> dict[str, int]:
    """Split -> number of records of a dataset; empty if there is no such dataset.

    Raises:
        UserError: the dataset's description cannot be read.
    """
    folder = dataset_dir(shards, name)
    if not (folder / INFO).exists():
        return {}
    return {split: sum(lengths) for split, lengths in read_info(folder)[1].items()}


def publish_split(
    shards: str | os.PathLike,
    name: str,
    split: str,
    files: Sequence[tuple[Path, int]],
    size_bytes: int,
    description: str,
) -> Path:
    """Moves shard files and their hashes into a dataset, which gains the split at once.

    May be called again after it was killed: files that were moved already stay. Of
    several processes that add splits to one dataset, each waits for the others.

    Args:
        shards: folder that holds the datasets, on a local disk.
        name: dataset, new or with other splits.
        split: the new split; one that is there is replaced.
        files: (file, number of its records), in order; on the disk of `shards`.
        size_bytes: sum of the records' sizes.
        description: of a new dataset; an existing one keeps its own.

    Returns:
        The dataset's folder.

    Raises:
        UserError: another process has the dataset for more than a minute.
    """
    folder = Path(dataset_dir(shards, name))
    with lock.held(folder.parent, LOCK, WAIT_S):
        return _publish(folder, name, split, files, size_bytes, description)


def _publish(folder, name, split, files, size_bytes, description) -> Path:
    is_new = not folder.exists()
    if is_new:  # fills a folder of another name, which is then renamed
        target = folder.with_name(f"{folder.name}.partial")
        target.mkdir(parents=True, exist_ok=True)
    else:  # the files of a renamed dataset keep the name that they were given
        target = folder
        name, _ = read_info(epath.Path(folder))
        description = json.loads((folder / INFO).read_text())["description"]
    for number, (file, _) in enumerate(files):
        place = target / shard_name(name, split, number, len(files))
        for source, moved in ((hashes_path(file), hashes_path(place)), (file, place)):
            if Path(source).exists():
                os.replace(source, moved)
    lengths = [length for _, length in files]
    info = _info(name, target, description)
    others = [] if is_new else _known_splits(folder, split)
    template = tfds.core.ShardedFileTemplate(
        data_dir=target,
        template=_TEMPLATE,
        dataset_name=name,
        filetype_suffix="array_record",
    )
    new = tfds.core.SplitInfo(
        name=split,
        shard_lengths=lengths,
        num_bytes=size_bytes,
        filename_template=template,
    )
    info.set_splits(tfds.core.splits.SplitDict([*others, new]))
    _save(info, target, is_new)
    _remove_others(target, name, split, len(files))
    if is_new:
        os.replace(target, folder)
    return folder


def _remove_others(folder, name, split, count) -> None:
    """Removes files of a split that had another number of them."""
    mine = {shard_name(name, split, number, count) for number in range(count)}
    for file in folder.glob(shard_name(name, split, 0, 0).replace("00000", "*")):
        if file.name not in mine:
            hashes_path(file).unlink(missing_ok=True)
            file.unlink()


def _info(name, folder, description):
    identity = tfds.core.dataset_info.DatasetIdentity(
        name=name,
        version=tfds.core.Version(VERSION),
        data_dir=str(folder),
        module_name="",
    )
    info = LocalInfo(
        builder=identity, description=description, features=record_features()
    )
    info.set_file_format("array_record")
    return info


def _known_splits(folder, split):
    splits = tfds.builder_from_directory(str(folder)).info.splits
    return [info for name, info in splits.items() if name != split]


def _save(info, target, is_new):
    """The description of a dataset that is in use is replaced in one step."""
    if is_new:
        info.write_to_directory(target)
        return
    beside = target / f".{INFO}.{os.getpid()}"
    beside.mkdir(exist_ok=True)
    info.write_to_directory(beside, all_metadata=False)
    os.replace(beside / INFO, target / INFO)
    beside.rmdir()
