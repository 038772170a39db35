"""Files of records (ArrayRecord), and the hashes that are stored beside each.

`NAME.array_record-00000-of-00002` has `NAME.hashes-00000-of-00002` beside it, which
moves, copies and is renamed with it: one line of JSON (size and hash of the file), then
8 bytes per record. It bears the modification time of the file that it belongs to.
Whoever opens the files compares sizes and times, and each record is compared with its
hash when it is read. Files without hashes, as the first edition wrote them, are read as
they are.
"""

import bisect
import collections
import concurrent.futures
import dataclasses
import functools
import hashlib
import itertools
import json
import logging
import os
import resource
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from array_record.python import array_record_module
from etils import epath
from tqdm import tqdm

from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault
from babyvlm_jax.runtime.files import write_atomically

HASH_BYTES = 8  # of a record
SUFFIX = ".array_record"
AT_ONCE = 256  # ours: records that a whole file is read by
MOST_OPEN = 256  # ours: files; fewer where the system allows fewer


class Damaged(UserError):
    """A file is not what was written."""


@dataclasses.dataclass(frozen=True)
class Hashes:
    """What is stored beside a file.

    Attributes:
        size_bytes: of the file.
        whole: hash of the file.
        table: `hash_record` of each record, one after the other.
        note: hash of what else belongs to the file, or empty.
    """

    size_bytes: int
    whole: str
    table: bytes
    note: str = ""

    def of(self, position: int) -> bytes:
        """The stored hash of a record."""
        return self.table[HASH_BYTES * position : HASH_BYTES * (position + 1)]

    def __len__(self) -> int:
        return len(self.table) // HASH_BYTES


def hash_record(record: bytes) -> bytes:
    """The 8 bytes that are stored of a record."""
    return hashlib.blake2b(record, digest_size=HASH_BYTES).digest()


def _short(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=8).hexdigest()


def _hash_file(path: epath.Path) -> str:
    with path.open("rb") as file:
        make = functools.partial(hashlib.blake2b, digest_size=16)
        return hashlib.file_digest(file, make).hexdigest()


def hashes_path(path: str | os.PathLike) -> epath.Path:
    """Where the hashes of a file are."""
    path = epath.Path(path)
    if SUFFIX in path.name:
        return path.with_name(path.name.replace(SUFFIX, ".hashes"))
    return path.with_name(f"{path.name}.hashes")


def _size_and_time(path: epath.Path) -> tuple[int, int]:
    if "://" in str(path):  # an object of a bucket is not changed in place
        return path.stat().length, 0
    check_file(path)
    found = os.stat(path)
    return found.st_size, found.st_mtime_ns


def _write_hashes(path: epath.Path, mtime_ns: int, hashes: Hashes) -> None:
    head = {
        "size_bytes": hashes.size_bytes,
        "hash": hashes.whole,
        "table": _short(hashes.table),
        "note": hashes.note,
    }
    line = json.dumps(head).encode() + b"\n"
    place = write_atomically(hashes_path(path), line + hashes.table)
    _set_time(place, mtime_ns)


def _set_time(path: epath.Path, mtime_ns: int) -> None:
    if mtime_ns:
        os.utime(path, ns=(mtime_ns, mtime_ns))


def read_hashes(path: str | os.PathLike) -> Hashes | None:
    """The hashes that are stored beside a file; None if there are none.

    Raises:
        Damaged: they are not as they were written.
    """
    place = hashes_path(path)
    check_file(place)
    try:
        data = place.read_bytes()
    except FileNotFoundError:
        return None
    line, _, table = data.partition(b"\n")
    try:
        head = json.loads(line)
        if _short(table) != head["table"]:
            raise ValueError("the table of hashes has changed")
        return Hashes(
            int(head["size_bytes"]),
            head["hash"],
            table,
            head["note"],
        )
    except (ValueError, KeyError, TypeError) as error:
        why = " ".join(str(error).split())[:100]
        raise Damaged(
            f"{place} is damaged ({why}); bring it back from a copy, or delete it to "
            "have the records hashed again"
        ) from None


def write_file(
    path: str | os.PathLike,
    records: Iterable[bytes],
    options: str = "group_size:1",
    note: str = "",
) -> tuple[int, int]:
    """Writes a file of records and its hashes; each appears whole or not at all.

    Args:
        path: the file, on a local disk.
        records: consumed once, one in memory at a time.
        options: of ArrayRecord. One record a group: a read fetches no more than what
            was asked for.
        note: stored with the hashes.

    Returns:
        The number of records and the sum of their sizes in bytes.

    Raises:
        UserError: the disk is full, or another fault of the system.
    """
    path = Path(path)
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    table, size_bytes = bytearray(), 0
    try:
        writer = array_record_module.ArrayRecordWriter(str(beside), options)
        for record in records:
            writer.write(record)
            table += hash_record(record)
            size_bytes += len(record)
        writer.close()
        size, mtime_ns = _size_and_time(epath.Path(beside))
        whole = _hash_file(epath.Path(beside))
        _write_hashes(path, mtime_ns, Hashes(size, whole, bytes(table), note))
        os.replace(beside, path)
    except (RuntimeError, OSError) as error:
        raise_system_fault(error, path, about_file=True)
        raise
    finally:
        beside.unlink(missing_ok=True)
    return len(table) // HASH_BYTES, size_bytes


class _Readers:
    """Open files, no more than the system allows; the one used longest ago is closed.

    A reader that is in use when it falls out stays open until its read has ended.
    """

    def __init__(self):
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._most = max(4, min(MOST_OPEN, soft // 4))
        self._open = collections.OrderedDict()
        self._lock = threading.Lock()

    def read(self, path: str, version, positions: Sequence[int]) -> list[bytes]:
        """Records of a file.

        Raises:
            RuntimeError: whatever ArrayRecord says.
        """
        try:
            return self._reader(path, version).read(positions)
        except RuntimeError as error:
            if "Too many open files" not in str(error):
                raise
        self.close()  # something else in this process holds files too
        return self._reader(path, version).read(positions)

    def _reader(self, path, version):
        key = (path, version)
        with self._lock:
            if key in self._open:
                self._open.move_to_end(key)
                return self._open[key]
        reader = array_record_module.ArrayRecordReader(
            path, options="readahead_buffer_size:0", file_reader_buffer_size=2**15
        )
        if reader.ok():  # one that is not would be kept though its cause has gone
            with self._lock:
                self._open[key] = reader
                while len(self._open) > self._most:
                    self._open.popitem(last=False)
        return reader

    def close(self):
        """Closes all files that are not being read."""
        with self._lock:
            self._open.clear()


_readers = _Readers()
# a child shares the places in its parent's files
os.register_at_fork(after_in_child=_readers.__init__)


class RecordFiles:
    """The records of several files, one after the other, by number.

    Raises:
        UserError: a file is missing, cut short or changed, or the system refuses it.
    """

    def __init__(
        self,
        paths: Sequence[epath.Path],
        lengths: Sequence[int],
        what: str,
        notes: Sequence[str] | None = None,
    ):
        """
        Args:
            paths: the files.
            lengths: number of records of each.
            what: for messages, such as "dataset 'text', split 'train'".
            notes: that must be stored with the hashes of each; None for any.
        """
        self.paths = [epath.Path(path) for path in paths]
        self._names = list(map(str, self.paths))
        self._what = what
        self._ends = list(itertools.accumulate(lengths))
        self._lengths = list(lengths)
        self._versions = [self._guarded(_size_and_time, path) for path in self.paths]
        self._hashes = [self._guarded(read_hashes, path) for path in self.paths]
        for number, hashes in enumerate(self._hashes):
            if hashes is None:
                self._check_ends(number)
            elif len(hashes) != self._lengths[number]:
                raise self._damaged(
                    self.paths[number],
                    f"{len(hashes)} records are hashed, but there should be "
                    f"{self._lengths[number]}",
                )
            elif notes and hashes.note != notes[number]:
                raise self._damaged(self.paths[number], "its keys have changed")
        self._check_moved()

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def _guarded(self, action, path, *args):
        """`action`, with its failures told as what they are."""
        try:
            return action(path, *args)
        except (RuntimeError, OSError, IndexError) as error:
            raise_system_fault(error, f"{self._what}: {path}", about_file=True)
            raise self._damaged(path, " ".join(str(error).split())[:200]) from None

    def _damaged(self, path, why) -> Damaged:
        return Damaged(
            f"{self._what} is damaged: {path} ({why}); bring that file and its .hashes "
            "back from a copy, or make it again"
        )

    def _check_ends(self, number):
        """A file cut short has lost its index, a changed one fails its checksum."""
        for position in {0, self._lengths[number] - 1}:
            self._read(number, [position])

    def _check_moved(self):
        """Compares sizes and times; where a time differs, the whole file's hash."""
        moved = [
            number
            for number, hashes in enumerate(self._hashes)
            if hashes
            and self._versions[number] != (hashes.size_bytes, self._time(number))
        ]
        if not moved:
            return
        with concurrent.futures.ThreadPoolExecutor() as pool:
            told = sum(pool.map(self._confirm, moved))
        if told:
            logging.warning(
                "%s: %d of %d files have another modification time than when they were "
                "written (a copy?); their hashes are those that were stored",
                self._what,
                told,
                len(self.paths),
            )

    def _time(self, number) -> int:
        return self._guarded(_size_and_time, hashes_path(self.paths[number]))[1]

    def _confirm(self, number) -> bool:
        """Whether the file was read and found to be as it was written."""
        path, stored = self.paths[number], self._hashes[number]
        size_bytes, mtime_ns = self._versions[number]
        if size_bytes != stored.size_bytes:
            why = f"{size_bytes} bytes, written with {stored.size_bytes}"
            raise self._damaged(path, why)
        if not mtime_ns:
            return False
        if self._guarded(_hash_file, path) != stored.whole:
            raise self._damaged(path, "changed since it was written")
        self._keep(lambda: _set_time(hashes_path(path), mtime_ns))
        return True

    def _keep(self, action):
        """Stores something for the next start, if the folder can be written."""
        try:
            action()
        except OSError as error:
            logging.warning("%s is read anew at every start: %s", self._what, error)

    def _read(self, number: int, positions: Sequence[int]) -> list[bytes]:
        name, hashes = self._names[number], self._hashes[number]
        version = self._versions[number]
        found = self._guarded(_readers.read, name, version, positions)
        if hashes is None:
            return found
        for position, record in zip(positions, found, strict=True):
            if hash_record(record) != hashes.of(position):
                raise self._damaged(name, f"record {position} has another hash")
        return found

    def read(self, numbers: Sequence[int]) -> list[bytes]:
        """The records of these numbers; each file is asked once.

        Raises:
            UserError: one of them is damaged or cannot be read; names the file.
        """
        by_file: dict[int, list[tuple[int, int]]] = {}
        for place, number in enumerate(numbers):
            if not 0 <= number < len(self):
                raise IndexError(number)
            file = bisect.bisect_right(self._ends, number)
            position = number - self._ends[file] + self._lengths[file]
            by_file.setdefault(file, []).append((place, position))
        found: list[bytes] = [b""] * len(numbers)
        for file, asked in by_file.items():
            read = self._read(file, [position for _, position in asked])
            for (place, _), record in zip(asked, read, strict=True):
                found[place] = record
        return found

    @property
    def are_hashed(self) -> bool:
        """Whether hashes of all files are stored."""
        return None not in self._hashes

    def hash_all(self) -> None:
        """Makes the hashes that are missing, by reading the files once."""
        missing = [n for n, hashes in enumerate(self._hashes) if hashes is None]
        for number in tqdm(missing, f"hash {self._what}", leave=False, delay=2):
            records = itertools.chain.from_iterable(self._chunks(number))
            table = b"".join(map(hash_record, records))
            path, (size_bytes, mtime_ns) = self.paths[number], self._versions[number]
            whole = self._guarded(_hash_file, path)
            hashes = Hashes(size_bytes, whole, table)
            self._keep(functools.partial(_write_hashes, path, mtime_ns, hashes))
            self._hashes[number] = hashes

    def _chunks(self, number) -> Iterator[list[bytes]]:
        length = self._lengths[number]
        for first in range(0, length, AT_ONCE):
            yield self._read(number, range(first, min(first + AT_ONCE, length)))

    @functools.cached_property
    def fingerprint(self) -> str:
        """Hash of all records in their order, whatever files they are in."""
        if not self.are_hashed:
            logging.warning(
                "%s has no stored hashes, as the first edition wrote it; its %d "
                "records are read once",
                self._what,
                len(self),
            )
            self.hash_all()
        whole = hashlib.blake2b(digest_size=8)
        for hashes in self._hashes:
            whole.update(hashes.table)
        return whole.hexdigest()

    def faults(self) -> list[str]:
        """Reads everything; what differs from the stored hashes, a line per fault."""
        found = []
        for number in range(len(self.paths)):
            try:
                self._verify(number)
            except UserError as error:
                found.append(str(error))
        return found

    def _verify(self, number):
        for _ in self._chunks(number):
            pass
        stored, path = self._hashes[number], self.paths[number]
        if stored and self._guarded(_hash_file, path) != stored.whole:
            raise self._damaged(path, "changed since it was written")
