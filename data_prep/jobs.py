"""The one way to be a preparation job: identity, lock, stages, summary.

A job makes datasets or files in a folder, `out`. What they are follows from its
identity: the settings, and under `inputs` the content of every file that is read.

    OUT/.jobs/NAME/          an unfinished job: one folder a stage
    OUT/.jobs/NAME.lock      held by the process that makes it
    OUT/.jobs/hashes.json    content hashes, so that nothing is read twice for them
    SUMMARY                  written last: identity, what was made and what left out

The same command again: the same identity, and there is nothing to do; another one, and
the stages that depend on what has changed are made again; a folder that something else
has filled is refused. A job that was killed keeps its finished stages.

    job = Job(out, "count-train", "import of count", summary, identity)
    with job.begun() as done:
        if done is not None:
            return done
        reports = [job.stage(part, make) for part in parts]
        job.replace()
        ...                                       # publish what the stages made
        return job.finish({"reports": reports})
"""

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault
from babyvlm_jax.runtime.json_fields import read_json

FOLDER = ".jobs"
HASHES = "hashes.json"
REPORT = "report.json"
MISSING = "missing"  # instead of the hash of a file that cannot be read
MAX_NAMED = 5  # differences that a message names
FRESH_S = 2  # a file this new may change again without a new modification time
Facts = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Job:
    """What to make.

    Attributes:
        out: folder on a local disk.
        name: of the job in that folder; names files.
        kind: what it makes, in words ("build of the corpus 'x'"): only a job of the
            same kind may make again what is there.
        summary: the file that marks it as finished.
        identity: all that decides what is made, JSON-able; `inputs` maps the name of
            each input to its content hash.
        foreign: lists what is in `out` that this job would overwrite.
        lacks: what a finished job with this identity has not made yet, in words.
        renewed: what a value in the identity of the first edition is now, for
            fingerprints of datasets.
    """

    out: Path
    name: str
    kind: str
    summary: Path
    identity: Mapping[str, Any]
    foreign: Callable[[], Sequence[str]] = tuple
    lacks: Callable[[Mapping[str, Any]], str] = lambda done: ""
    renewed: Callable[[Any], Any] = lambda stored: stored

    @property
    def scratch(self) -> Path:
        return self.out / FOLDER / self.name

    @contextlib.contextmanager
    def begun(self) -> Iterator[Facts | None]:
        """Holds the job's lock; gives the summary of a finished job, else None.

        Raises:
            UserError: another process makes it, the folder cannot be written, or it
                holds something else.
        """
        if (done := self._done()) is not None:
            yield done
            return
        make_folder(self.out / FOLDER, f"the folder {self.out}")
        with lock.held(self.out / FOLDER, f"{self.name}.lock"):
            done = self._done()  # another process may have been faster
            if done is None:
                self._claim()
            yield done

    def _done(self) -> Facts | None:
        if not self.summary.exists():
            return None
        done = read_json(self.summary)
        return None if self.differs(done) or self.lacks(done) else done

    def differs(self, done: Facts) -> str:
        """What has changed since a summary was written; empty if nothing has.

        Raises:
            UserError: it is that of another kind of job.
        """
        wanted = self._wanted
        if not isinstance(done, dict):
            done = {}
        there = done.get("identity", done.get("settings", done))
        if "job" not in done:  # the first edition: fewer settings, no hashes
            there = {
                key: _renewed(there[key], self.renewed)
                for key in wanted
                if key in there
            }
            wanted = {key: wanted[key] for key in there}
            if not there:
                raise UserError(f"{self.summary} is not what this program wrote")
        differs = difference(there, wanted)
        made = done.get("job", "what an older edition made")
        if made != self.kind and (differs or "job" in done):
            self._refuse(f"{made}{differs and f', which differs in {differs}'}")
        return differs

    @property
    def _wanted(self) -> Facts:
        return through_json(self.identity)

    def _claim(self) -> None:
        """Makes sure that what will be overwritten is this job's own."""
        if self._marker.exists():
            there = read_json(self._marker)
            if there["job"] != self.kind:
                self._refuse(f"an unfinished {there['job']}")
            if there["publishing"] in (None, digest(self._wanted)):
                return
            self.abandon()  # some stages have lost to `out` what they made
        elif self.summary.exists():
            if changed := self.differs(read_json(self.summary)):
                print(f"{self.out}: the {self.kind} is made again, changed: {changed}")
        elif others := self.foreign():
            self._refuse(f"{', '.join(others[:MAX_NAMED])} of an unknown job")
        self._mark(None)

    @property
    def _marker(self) -> Path:
        return self.scratch / "job.json"

    def _mark(self, publishing: str | None) -> None:
        make_folder(self.scratch, f"the folder {self.out}")
        write_json(self._marker, {"job": self.kind, "publishing": publishing})

    def _refuse(self, there: str) -> None:
        raise UserError(
            f"{self.out} holds {there}, not a {self.kind}; choose another folder or "
            "name, or delete what is there"
        )

    def stage(self, identity: Any, make: Callable[[Path], Facts]) -> Facts:
        """Makes a stage in its folder, unless it is made; see `make_stage`."""
        return make_stage(self.scratch, identity, make)

    def replace(self) -> None:
        """To be called before anything is moved from the stages to `out`.

        From here on what a finished job has made is no longer known as that, and a
        killed job resumes only with the same identity.
        """
        self._mark(digest(self._wanted))
        self.summary.unlink(missing_ok=True)

    def publish(self, stage: Path, target: Path) -> None:
        """Moves the folder `stage / target.name` to `target`, over what is there."""
        made, old = stage / target.name, self.scratch / "replaced"
        if not made.exists():  # moved before the job was killed
            return
        shutil.rmtree(old, ignore_errors=True)
        make_folder(target.parent, f"the folder {self.out}")
        if target.exists():
            os.replace(target, old)
        os.replace(made, target)

    def withdraw(self, target: Path) -> None:
        """Removes a folder that this job made before and does not make now."""
        shutil.rmtree(target, ignore_errors=True)

    def finish(self, facts: Mapping[str, Any]) -> Facts:
        """Writes the summary, and removes what only an unfinished job needs.

        Args:
            facts: what was made, what was left out and why. A job without one usable
                record raises UserError instead of finishing.

        Returns:
            The summary as it is read back.
        """
        done = {**facts, "job": self.kind, "identity": self._wanted}
        write_json(self.summary, done)
        self.abandon()
        return through_json(done)

    def abandon(self) -> None:
        """Removes all stages."""
        shutil.rmtree(self.scratch, ignore_errors=True)


def _renewed(value: Any, renewed: Callable[[Any], Any]) -> Any:
    if isinstance(value, Mapping):
        return {key: _renewed(one, renewed) for key, one in value.items()}
    return renewed(value)


def stage_folder(scratch: Path, identity: Any) -> Path:
    """Where a stage of this identity is made: another identity, another folder."""
    return scratch / digest(identity)


def stage_report(scratch: Path, identity: Any) -> Facts | None:
    """The report of a stage that is made, None if it is not (wholly)."""
    path = stage_folder(scratch, identity) / REPORT
    with contextlib.suppress(UserError):  # a disk that was full: made again
        return read_json(path) if path.exists() else None
    return None


def make_stage(scratch: Path, identity: Any, make: Callable[[Path], Facts]) -> Facts:
    """Makes a stage of a job, unless it is made already.

    May be called in any process that works for the one that holds the job's lock.

    Args:
        scratch: of the job.
        identity: all that the stage depends on, JSON-able, content hashes included.
        make: fills an empty folder, and gives a report (JSON-able).

    Returns:
        The report as it is read back.
    """
    if (report := stage_report(scratch, identity)) is not None:
        return report
    folder = stage_folder(scratch, identity)
    shutil.rmtree(folder, ignore_errors=True)
    make_folder(folder, f"the folder {folder}")
    report = make(folder)
    write_json(folder / REPORT, report)
    return through_json(report)


class Hashes:
    """Content hashes of files, kept in a folder of jobs.

    A file is read again only if its path, size or modification time is new.
    """

    def __init__(self, out: Path):
        self._path = out / FOLDER / HASHES

    def of(self, files: Mapping[str, Path]) -> dict[str, str]:
        """Name -> hash of the content, `MISSING` where no file can be read."""
        known = self._known()
        states = {path: _state(path) for path in set(files.values())}
        found = {
            path: known[place][2]
            for path, state in states.items()
            if state and (known.get(place := os.path.abspath(path)) or [])[:2] == state
        }
        unread = {
            path: state[0]
            for path, state in states.items()
            if state and path not in found
        }
        if unread:
            new = dict(zip(unread, _read_all(unread), strict=True))
            found |= new
            with contextlib.suppress(UserError, OSError):  # only a cache
                self._keep(known, {path: [*states[path], new[path]] for path in new})
        return {name: found.get(path, MISSING) for name, path in files.items()}

    def grouped(self, files: Mapping[str, Path]) -> dict[str, str]:
        """As `of`, with one hash for all files of a group: those named `GROUP/...`."""
        groups: dict[str, dict[str, str]] = {}
        for name, found in self.of(files).items():
            groups.setdefault(name.partition("/")[0], {})[name] = found
        return {
            group: digest(found) if list(found) != [group] else found[group]
            for group, found in groups.items()
        }

    def _known(self) -> dict[str, list]:
        """Path -> size, modification time and hash."""
        with contextlib.suppress(UserError, TypeError, ValueError):
            known = dict(read_json(self._path))
            return {path: one for path, one in known.items() if len(one) == 3}
        return {}

    def _keep(self, known: dict[str, list], new: Mapping[Path, list]) -> None:
        latest = time.time_ns() - FRESH_S * 10**9
        old = {
            os.path.abspath(path): one
            for path, one in new.items()
            if one[1] < latest and one[2] != MISSING
        }
        make_folder(self._path.parent, f"the folder {self._path.parent}")
        write_json(self._path, {**known, **old})


def _state(path: Path) -> list[int] | None:
    """Size and modification time; None where there is no ordinary file."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return None
    return [found.st_size, found.st_mtime_ns] if stat.S_ISREG(found.st_mode) else None


def _hash(path: Path) -> str:
    try:
        return sha256(path)
    except UserError:  # whoever needs it will say so
        return MISSING


def _read_all(size_bytes: Mapping[Path, int]) -> list[str]:
    total = sum(size_bytes.values())
    bar = tqdm(total=total, desc="hash inputs", unit="B", unit_scale=True, delay=2)
    with bar, concurrent.futures.ThreadPoolExecutor() as pool:
        hashes = []
        for path, found in zip(size_bytes, pool.map(_hash, size_bytes), strict=True):
            hashes.append(found)
            bar.update(size_bytes[path])
    return hashes


def sha256(path: Path) -> str:
    """Hash of a file's content, in hexadecimal digits.

    Raises:
        UserError: it cannot be read.
    """
    check_file(path)
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise_system_fault(error, path)
        raise UserError(f"{path}: cannot be read ({error.strerror})") from None


def digest(value: Any) -> str:
    """Short hash of a JSON-able value."""
    text = json.dumps(value, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What tells two identities apart, for a message; empty if nothing does.

    {"fps": 1, "seed": 0} and {"fps": 2, "seed": 1} differ in

        fps, seed (fps: there 1, now 2)

    A changed input is named: `inputs/videos/a.mp4`.
    """
    there, wanted = _flat(there), _flat(wanted)
    names = [
        name
        for name in sorted({*there, *wanted})
        if there.get(name) != wanted.get(name)
    ]
    if not names:
        return ""
    more = f" and {len(names) - MAX_NAMED} more" if len(names) > MAX_NAMED else ""
    first = names[0]
    values = f"there {there.get(first)!r:.200}, now {wanted.get(first)!r:.200}"
    return f"{', '.join(names[:MAX_NAMED])}{more} ({first}: {values})"


def _flat(values: Mapping[str, Any], prefix: str = "") -> Facts:
    flat = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}/")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def through_json(value: Any) -> Any:
    """A value as it is read back from a file: tuples are lists, keys are text."""
    return json.loads(json.dumps(value))


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file that appears whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.write_bytes(data)
    os.replace(beside, path)


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON, whole or not at all."""
    write_whole(path, (json.dumps(value, indent=1, sort_keys=True) + "\n").encode())


def make_folder(path: Path, flag: str) -> None:
    """Makes a folder and its parents, unless it is there.

    Args:
        path: the folder.
        flag: what the user gave, `--out=DIR`, for the message.

    Raises:
        UserError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UserError(f"{flag}: cannot be written ({why})") from None
