"""Whose records are these: what changes a fingerprint, what is refused, what is not."""

import concurrent.futures
import errno
import json
import os
import random
import resource
import shutil
import threading
import time

import pytest

from babyvlm_jax.data import record_files, shards
from babyvlm_jax.data.features import FeatureStore, key_of
from babyvlm_jax.data.schema import (
    ASSISTANT,
    Record,
    RecordSource,
    write_dataset,
)
from babyvlm_jax.runtime.errors import UserError
from tests.data.test_features import FACTS, arrays

COUNT = 9
FIRST_RECORD = 150  # bytes into a file


def record(i, answer="a ball"):
    return Record(f"r{i}", "text", turns=((ASSISTANT, f"{answer} {i}"),))


def publish(root, split, records, shard=3):
    """A split of several shards."""
    files, size = [], 0
    for first in range(0, len(records), shard):
        path = root / f"{split}{first}"
        count, size_bytes = shards.write_shard(path, records[first : first + shard])
        files.append((path, count))
        size += size_bytes
    shards.publish_split(root, "demo", split, files, size, "for a test")


def write_anew(root, records, shard=3):
    shutil.rmtree(root / "demo")
    publish(root, "train", records, shard)


def files_of(root, what="array_record"):
    return sorted((root / "demo").glob(f"1.0.0/demo-train.{what}*"))


def flip(path, place=None, keep_time=False):
    """Changes one byte of a file."""
    stat, data = path.stat(), bytearray(path.read_bytes())
    data[FIRST_RECORD if place is None else place] ^= 1
    path.write_bytes(data)
    if keep_time:
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def opened(root, name="demo"):
    source = RecordSource(root, name, "train")
    return source.fingerprint, list(source)


@pytest.fixture
def root(tmp_path):
    publish(tmp_path, "train", [record(i) for i in range(COUNT)])
    return tmp_path


def _copy(root):
    shutil.copytree(root / "demo", root / "copy", copy_function=shutil.copyfile)
    shutil.rmtree(root / "demo")
    shutil.move(root / "copy", root / "demo")


def _forget(root):
    """As the first edition wrote it."""
    for path in files_of(root, "hashes"):
        path.unlink()


SAME = {
    "nothing": lambda root: None,
    "copied": _copy,
    "touched": lambda root: os.utime(files_of(root)[1]),
    "another split": lambda root: publish(root, "val", [record(99)]),
    "other shards": lambda root: write_anew(root, [record(i) for i in range(COUNT)], 4),
    "no hashes": _forget,
    "hashes of one shard lost": lambda root: files_of(root, "hashes")[1].unlink(),
}


@pytest.mark.parametrize("change", SAME)
def test_the_same_records_keep_their_fingerprint(root, change):
    before = opened(root)
    SAME[change](root)
    assert opened(root) == before
    assert opened(root) == before


def test_a_moved_folder_keeps_its_fingerprint(root, tmp_path_factory):
    before = opened(root)
    assert opened(f"{root}/") == before
    there = tmp_path_factory.mktemp("elsewhere") / "moved"
    shutil.move(root, there)
    assert opened(there) == before
    (there / "demo").rename(there / "renamed")
    assert opened(there, "renamed") == before
    files = [(there / "val", shards.write_shard(there / "val", [record(99)])[0])]
    shards.publish_split(there, "renamed", "val", files, 9, "for a test")
    assert opened(there, "renamed") == before


def _swap_shards(root, what):
    first, second, _ = files_of(root, what)
    other = first.with_name("other")
    first.rename(other)
    second.rename(first)
    other.rename(second)


def _swap_both(root):
    _swap_shards(root, "array_record")
    _swap_shards(root, "hashes")


OTHER = {
    "one answer": lambda r: write_anew(
        r, [record(i, "a ball" if i != 4 else "a cup") for i in range(COUNT)]
    ),
    "swapped records": lambda r: write_anew(
        r, [record(i) for i in (0, 2, 1, *range(3, COUNT))]
    ),
    "one record fewer": lambda r: write_anew(r, [record(i) for i in range(COUNT - 1)]),
    "swapped shards and hashes": _swap_both,
}


@pytest.mark.parametrize("change", OTHER)
def test_other_records_have_another_fingerprint(root, change):
    before = opened(root)[0]
    OTHER[change](root)
    assert opened(root)[0] != before


def _edit_info(root, **changes):
    path = root / "demo/1.0.0/dataset_info.json"
    info = json.loads(path.read_text())
    name = changes.pop("name", info["name"])
    info["splits"][0].update(changes)
    path.write_text(json.dumps({**info, "name": name}))


REFUSED = {
    "one byte": (lambda r: flip(files_of(r)[1]), "damaged.*00001-of-00003"),
    "one byte, time kept": (
        lambda r: flip(files_of(r)[1], keep_time=True),
        "damaged.*00001-of-00003",
    ),
    "cut": (lambda r: os.truncate(files_of(r)[0], 99), "damaged.*99 bytes"),
    "empty": (lambda r: os.truncate(files_of(r)[0], 0), "damaged.*0 bytes"),
    "swapped shards": (lambda r: _swap_shards(r, "array_record"), "damaged"),
    "missing": (lambda r: files_of(r)[2].unlink(), "No such file.*moved or removed"),
    "hashes": (lambda r: flip(files_of(r, "hashes")[0], -1), "hashes.*damaged"),
    "hashes cut": (lambda r: os.truncate(files_of(r, "hashes")[0], 9), "damaged"),
    "lengths": (
        lambda r: _edit_info(r, shardLengths=["2", "3", "3"]),
        "damaged.*3 records are hashed",
    ),
    **{
        f"info {changes}": (
            lambda r, changes=changes: _edit_info(r, **changes),
            r"dataset_info\.json is damaged",
        )
        for changes in (
            {"shardLengths": ["-3", "12"]},
            {"shardLengths": []},
            {"shardLengths": [None]},
            {"name": "../../demo/1.0.0/demo"},
            {"name": None},
        )
    },
    "description": (
        lambda r: os.truncate(r / "demo/1.0.0/dataset_info.json", 60),
        r"dataset_info\.json is damaged",
    ),
}


@pytest.mark.parametrize("change", REFUSED)
def test_changed_files_are_refused_by_name(root, change):
    spoil, told = REFUSED[change]
    spoil(root)
    with pytest.raises(UserError, match=told):
        opened(root)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_a_shard_cut_short_is_found_without_hashes(root, share):
    _forget(root)
    size = files_of(root)[0].stat().st_size
    os.truncate(files_of(root)[0], int(size * share))
    with pytest.raises(UserError, match=r"'demo', split 'train' is damaged.*again"):
        RecordSource(root, "demo", "train")


@pytest.mark.parametrize("keep_time", [True, False])
def test_any_changed_byte_is_refused_or_harmless(root, keep_time):
    before = opened(root)
    rng = random.Random(keep_time)
    whole = {path: path.read_bytes() for path in (root / "demo/1.0.0").iterdir()}
    found = 0
    for _ in range(30):
        path = rng.choice(sorted(whole))
        size = len(whole[path].rstrip(b"\0"))  # ArrayRecord pads its blocks
        flip(path, rng.randrange(size), keep_time)
        try:
            assert opened(root) == before, path
        except UserError:
            found += 1
        for path, data in whole.items():
            path.write_bytes(data)
    assert found > 10


def test_verify_names_every_fault(root):
    source = RecordSource(root, "demo", "train")
    assert source.faults() == []
    for number in (0, 2):
        flip(files_of(root)[number], keep_time=True)
    first, second = RecordSource(root, "demo", "train").faults()
    assert "00000-of-00003" in first
    assert "00002-of-00003" in second


def test_a_record_that_is_none_is_named(tmp_path):
    folder = write_dataset(tmp_path, "demo", {"train": [record(0)]}, "d")
    record_files.write_file(folder / "demo-train.array_record-00000-of-00001", [b"?"])
    with pytest.raises(UserError, match="record 0 of 1 is none that this program"):
        RecordSource(tmp_path, "demo", "train")[0]


def _limit(count):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, hard))


def _num_open():
    return len(os.listdir("/proc/self/fd")) - 1


@pytest.fixture
def limited(monkeypatch):
    """Sets how many files may be open; undone after the test."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    monkeypatch.setattr(record_files, "_readers", record_files._Readers())
    yield _limit
    _limit(soft)


def test_more_shards_than_files_may_be_open(tmp_path, limited, monkeypatch):
    records = [record(i) for i in range(60)]
    publish(tmp_path, "train", records, shard=1)
    limited(40)
    monkeypatch.setattr(record_files, "_readers", record_files._Readers())
    limited(1024)
    before = _num_open()
    source = RecordSource(tmp_path, "demo", "train")
    assert source.read(range(60)) == records
    assert [source[i] for i in range(59, -1, -1)] == records[::-1]
    assert before < _num_open() <= before + 10


def test_running_out_of_files_is_not_called_damage(root, limited):
    source = RecordSource(root, "demo", "train")
    with open(os.devnull) as lowest:
        free = lowest.fileno()
    before, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    limited(free)
    with pytest.raises(UserError, match=r"Too many open files; .*ulimit -n") as told:
        source[0]
    assert "damaged" not in str(told.value)
    with pytest.raises(UserError, match="ulimit -n"):
        RecordSource(root, "demo", "train")
    limited(before)
    assert source[0] == record(0)  # the file that failed to open is tried again


def test_a_full_disk_is_named_when_writing(tmp_path, monkeypatch):
    class Full:
        def __init__(self, path, options):
            pass

        def write(self, data):
            pass

        def close(self):
            raise RuntimeError("write() failed: No space left on device; writing x")

    monkeypatch.setattr(record_files.array_record_module, "ArrayRecordWriter", Full)
    with pytest.raises(UserError, match="No space left on device; make room"):
        shards.write_shard(tmp_path / "shard", [record(0)])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", [[], ["train"]])
def test_splits_that_are_published_at_once_are_all_kept(tmp_path, monkeypatch, there):
    for split in there:
        publish(tmp_path, split, [record(0)])
    read, move = shards._known_splits, shards._save
    slowly = lambda action: lambda *a: (action(*a), time.sleep(0.1))[0]  # noqa: E731
    monkeypatch.setattr(shards, "_known_splits", slowly(read))
    monkeypatch.setattr(shards, "_save", slowly(move))
    threads = [
        threading.Thread(target=publish, args=(tmp_path, split, [record(0)]))
        for split in ("val", "test", "more")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(shards.splits_of(tmp_path, "demo")) == {"val", "test", "more", *there}
    for split in ("val", "test", "more", *there):
        assert list(RecordSource(tmp_path, "demo", split)) == [record(0)]


def test_features_of_other_pictures_are_refused(tmp_path):
    store = FeatureStore.begin(tmp_path, FACTS)
    for name in "ab":
        store.add([key_of(name.encode())], arrays(store, 1))
    assert FeatureStore(tmp_path).read("r", [b"a"]).any()
    shutil.copy(tmp_path / "keys-00001.npy", tmp_path / "keys-00000.npy")
    with pytest.raises(UserError, match="keys have changed"):
        FeatureStore(tmp_path)


def _refuse(*_, **__):
    raise OSError(errno.EROFS, os.strerror(errno.EROFS))


@pytest.mark.parametrize("change", ["copied", "no hashes"])
def test_a_disk_that_cannot_be_written_is_read_anew(root, monkeypatch, caplog, change):
    before = opened(root)
    SAME[change](root)
    monkeypatch.setattr(record_files, "write_atomically", _refuse)
    monkeypatch.setattr(record_files.os, "utime", _refuse)
    for _ in range(2):
        caplog.clear()
        assert opened(root) == before
        assert "read anew at every start" in caplog.text


def test_many_threads_share_few_open_files(tmp_path, monkeypatch):
    records = [record(i) for i in range(24)]
    publish(tmp_path, "train", records, shard=1)
    readers = record_files._Readers()
    readers._most = 2
    monkeypatch.setattr(record_files, "_readers", readers)
    source = RecordSource(tmp_path, "demo", "train")
    orders = [random.Random(seed).sample(range(24), 24) for seed in range(16)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for order, found in zip(orders, pool.map(source.read, orders), strict=True):
            assert found == [records[i] for i in order]
