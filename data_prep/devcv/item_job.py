"""Benchmark items as a preparation job: frames -> a bank -> one dataset a task.

The bank (see `bank`) is decoded once, into the scratch folder of the job; each task is
a stage of its own. A set grows: a later command with other tasks adds theirs. After a
change of the settings or of an input all tasks that are there must be made again.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.schema import Record, dataset_dir
from babyvlm_jax.runtime.errors import UserError
from data_prep import jobs
from data_prep.devcv.items import MIN_SIDE, Bank, Frame, Thing
from data_prep.stages.staging import stage_dataset
from data_prep.stages.workers import workers

MAX_LISTED = 200  # problems written out; all are counted
BANKS = "banks.json"
FORMAT = 1  # of the stages; another number makes all anew

Splits = Mapping[str, Iterable[Record]]


@dataclasses.dataclass(frozen=True)
class ItemJob:
    """What to make.

    Attributes:
        out: folder of the datasets.
        benchmark: its name; the datasets are `BENCHMARK_TASK` in lower case.
        title: what the frames come from; a set from something else is refused.
        settings: all that decides what the items are, JSON-able.
        contents: name of each input -> its content hash.
        tasks: to make.
        decode: writes banks into a folder (see `write_banks`), with workers to do so;
            gives a line for everything left out.
        records: (banks, task) -> split -> records. Module-level, or a partial of such.
        description: task -> a sentence for the dataset.
        from_frames: the tasks that need the bank.
    """

    out: Path
    benchmark: str
    title: str
    settings: Mapping[str, Any]
    contents: Mapping[str, str]
    tasks: Sequence[str]
    decode: Callable[[Path, Callable], list[str]]
    records: Callable[[Mapping[str, Bank], str], Splits]
    description: Callable[[str], str]
    from_frames: Sequence[str]

    def dataset(self, task: str) -> str:
        return f"{self.benchmark.lower()}_{task}"

    def stage(self, task: str | None) -> dict[str, Any]:
        """All that a task depends on, or, without one, the bank."""
        return {
            "task": task,
            "settings": self.settings,
            "inputs": self.contents,
            "format": FORMAT,
        }

    def job(self) -> jobs.Job:
        def lacks(done: Mapping[str, Any]) -> str:
            return ", ".join(task for task in self.tasks if task not in done["tasks"])

        def foreign() -> list[str]:
            found = sorted(self.out.glob(f"{self.dataset('*')}/*"))
            return [path.parent.name for path in found]

        return jobs.Job(
            out=self.out,
            name=self.benchmark.lower(),
            kind=f"set of {self.benchmark} items from {self.title}",
            summary=self.out / f"{self.dataset('summary')}.json",
            identity={**self.settings, "inputs": self.contents},
            foreign=foreign,
            lacks=lacks,
        )


def make_items(items: ItemJob, num_workers: int) -> dict[str, Any]:
    """Makes the datasets that are not there yet.

    Returns:
        The summary: settings, tasks (split -> number of items), num_skipped, skipped.

    Raises:
        UserError: the folder holds something else, tasks that are there are to be left
            with other settings, or no item can be made.
    """
    job, started = items.job(), time.monotonic()
    with job.begun() as done:
        if done is not None:
            print(f"{items.out}: all {len(items.tasks)} sets are there, nothing to do")
            return done
        there = jobs.read_json(job.summary) if job.summary.exists() else {"tasks": {}}
        changed = job.differs(there) if job.summary.exists() else ""
        if changed and (left := sorted(set(there["tasks"]) - set(items.tasks))):
            raise UserError(
                f"{items.out} holds {', '.join(left)} of other settings or inputs "
                f"({changed}); name them in --tasks too, to make them again, or choose "
                "another --out"
            )
        made = {} if changed else dict(there["tasks"])
        todo = [task for task in items.tasks if task not in made]
        new, problems = _make(items, job, todo, num_workers)
        made |= new
        if not any(map(count, made.values())):
            first = f", the first: {problems[0]}" if problems else ""
            raise UserError(
                "the frames allow not a single item: expected wholly visible objects, "
                f"at least {MIN_SIDE:.0%} of the frame's shorter side "
                f"({len(problems)} boxes, frames or recordings are left out{first})"
            )
        if changed:
            job.replace()
        for task in todo:
            target = Path(dataset_dir(items.out, items.dataset(task)))
            if count(made[task]):
                stage = jobs.stage_folder(job.scratch, items.stage(task))
                job.publish(stage, target)
            else:
                job.withdraw(target)
        return job.finish(
            {
                "settings": items.settings,
                "synthetic": items.settings["synthetic"],
                "tasks": made,
                "num_skipped": len(problems),
                "skipped": problems[:MAX_LISTED],
                "seconds": round(time.monotonic() - started, 1),
            }
        )


def _make(items, job, todo, num_workers) -> tuple[dict[str, Any], list[str]]:
    """Task -> number of items of those that are made, and what was left out."""
    bank, problems = None, []
    with workers(num_workers) as each:
        if set(todo) & set(items.from_frames):
            stage = items.stage(None)
            report = job.stage(
                stage, lambda folder: {"problems": items.decode(folder, each)}
            )
            bank, problems = jobs.stage_folder(job.scratch, stage), report["problems"]
        calls = [
            (
                job.scratch,
                items.stage(task),
                bank,
                items.dataset(task),
                items.description(task),
                items.records,
                task,
            )
            for task in todo
        ]
        done = each(_make_one, calls)
        return dict(
            tqdm(done, total=len(todo), desc="build items", unit="task")
        ), problems


def _make_one(
    scratch: Path,
    stage: Mapping[str, Any],
    bank: Path | None,
    name: str,
    description: str,
    records: Callable[[Mapping[str, Bank], str], Splits],
    task: str,
) -> tuple[str, dict[str, int]]:
    def make(folder: Path) -> dict[str, Any]:
        banks = {} if bank is None else _read_banks(bank)
        splits = {split: list(found) for split, found in records(banks, task).items()}
        if any(splits.values()):
            stage_dataset(folder, name, splits, description)
        return {"made": {split: len(found) for split, found in splits.items()}}

    return task, jobs.make_stage(scratch, stage, make)["made"]


def count(made: Mapping[str, int] | int) -> int:
    """Items of a task; first-edition summaries of V1 hold the number itself."""
    return made if isinstance(made, int) else sum(made.values())


def write_banks(folder: Path, banks: Mapping[str, Bank]) -> None:
    """Writes banks whose pixels lie in the same folder."""
    found = {
        split: [dataclasses.asdict(frame) for frame in bank.frames]
        for split, bank in banks.items()
    }
    jobs.write_json(folder / BANKS, found)


@functools.lru_cache(maxsize=1)  # a process makes many tasks of one bank
def _read_banks(folder: Path) -> dict[str, Bank]:
    return {
        split: Bank(_frame(folder, frame) for frame in frames)
        for split, frames in jobs.read_json(folder / BANKS).items()
    }


def _frame(folder: Path, found: Mapping[str, Any]) -> Frame:
    things = tuple(
        Thing(**{**thing, "bbox": tuple(thing["bbox"])}) for thing in found["things"]
    )
    store = str(folder / Path(found["store"]).name)  # the folder may have moved
    return Frame(**{**found, "things": things, "store": store})
