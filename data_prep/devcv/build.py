"""Builds the DevCV datasets: banks -> one dataset per task, summary and card.

Every (task, split) draws from its own dice, seeded by the settings alone: neither the
number of workers nor which tasks are built changes an item.
"""

import dataclasses
import functools
import itertools
import json
import os
import pickle
import shutil
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
from tqdm import tqdm

from babyvlm_jax.data.questions import rounds_of
from babyvlm_jax.data.schema import (
    Record,
    RecordSource,
    dataset_dir,
    write_dataset,
)
from babyvlm_jax.errors import UserError
from data_prep.devcv import card, ingest, sizes
from data_prep.devcv.bank import MIN_SIDE, Bank
from data_prep.devcv.items import Style
from data_prep.jobs import write_json, write_whole
from data_prep.stages.item_summary import open_summary
from data_prep.stages.workers import workers

SUMMARY = "devcv_summary.json"
CARD = "devcv_card.md"
SCRATCH = ".devcv_scratch"
MAX_LISTED = 200  # problems written out; all are counted


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides what the items are.

    Attributes:
        source: what the frames come from, in words and with a fingerprint.
        synthetic: the pictures are drawn, not filmed.
        seed: the dice.
        style: how items look.
        wanted: task -> split -> number of items.
    """

    source: str
    synthetic: bool
    seed: int
    style: Style
    wanted: Mapping[str, Mapping[str, int]]

    def settings(self) -> dict:
        """The plan as JSON values; equal settings give equal datasets."""
        words = self.style.vocabulary
        plain = dataclasses.replace(self.style, vocabulary=None)
        found = dataclasses.asdict(dataclasses.replace(self, style=plain))
        del found["style"]["vocabulary"]
        if words is not None:
            found["style"]["vocabulary"] = words.settings()
        return json.loads(json.dumps(found))


def build(
    out: str | os.PathLike,
    plan: Plan,
    tasks: tuple[str, ...],
    load: Callable[[], tuple[list[ingest.Job], list[str]]],
    num_workers: int,
) -> dict:
    """Writes the datasets `devcv_TASK` that are not there yet, then the summary.

    Args:
        out: folder of the shards.
        plan: what to build.
        tasks: which of `sizes.TASKS`.
        load: lists the recordings; called only if something is to be built.
        num_workers: worker processes; they change nothing but the time.

    Returns:
        The summary, as written to `out/devcv_summary.json`.

    Raises:
        UserError: `out` holds items of other settings, or no item can be made.
    """
    out = Path(out)
    started = time.monotonic()
    fresh = {"settings": plan.settings(), "tasks": {}, "num_skipped": 0, "skipped": []}
    summary = open_summary(out / SUMMARY, "DevCV", "devcv_*", fresh)
    todo = [task for task in tasks if task not in summary["tasks"]]
    if not todo:
        print(f"{out}: all {len(tasks)} DevCV datasets are there, nothing to do")
        write_whole(out / CARD, card.card(summary).encode())
        return summary
    _sweep(out)
    jobs, problems = load()
    scratch = out / SCRATCH
    scratch.mkdir()
    try:
        with workers(num_workers) as each:
            banks, faults = ingest.decode(jobs, scratch, each)
            problems = problems + faults
            summary["num_skipped"] = len(problems)
            summary["skipped"] = problems[:MAX_LISTED]
            (scratch / "banks.pickle").write_bytes(pickle.dumps(banks))
            done = each(_build_task, [(out, plan, task) for task in todo])
            for task, made in tqdm(
                done, total=len(todo), desc="build items", unit="task"
            ):
                summary["tasks"][task] = made
                write_json(out / SUMMARY, summary)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    if not any(any(made.values()) for made in summary["tasks"].values()):
        (out / SUMMARY).unlink()
        raise UserError(
            "the frames allow not a single item: expected wholly visible objects, at "
            f"least {MIN_SIDE:.0%} of the frame's shorter side; give more frames"
        )
    summary["seconds"] = round(time.monotonic() - started, 1)
    write_json(out / SUMMARY, summary)
    write_whole(out / CARD, card.card(summary).encode())
    return summary


def _sweep(out: Path):
    """Removes what a killed build has left half done."""
    shutil.rmtree(out / SCRATCH, ignore_errors=True)
    for folder in out.glob("devcv_*/*.incomplete*"):
        shutil.rmtree(folder, ignore_errors=True)


def _build_task(out: Path, plan: Plan, task: str) -> tuple[str, dict[str, int]]:
    """Writes one dataset; returns the task and split -> number of items made."""
    name = f"devcv_{task}"
    wanted = plan.wanted[task]
    if not dataset_dir(out, name).exists():
        banks = _banks(out / SCRATCH / "banks.pickle")
        splits = {
            split: list(records(task, split, banks[split], number, plan))
            for split, number in wanted.items()
        }
        if not any(splits.values()):
            return task, dict.fromkeys(wanted, 0)
        write_dataset(out, name, splits, card.description(task, plan.synthetic))
    else:
        splits = {
            split: RecordSource(out, name, split) for split in _splits_of(out, name)
        }
    return task, {split: len(splits.get(split, ())) for split in wanted}


def _splits_of(out: Path, name: str) -> list[str]:
    info = json.loads((Path(dataset_dir(out, name)) / "dataset_info.json").read_text())
    return [split["name"] for split in info["splits"]]


@functools.lru_cache(maxsize=1)
def _banks(path: Path) -> dict[str, Bank]:
    return pickle.loads(path.read_bytes())


def records(
    task: str, split: str, bank: Bank, number: int, plan: Plan
) -> Iterator[Record]:
    """The records of one split of a task, determined by the plan alone."""
    rng = np.random.default_rng([plan.seed, zlib.crc32(f"{task}/{split}".encode())])
    kind = "instruction" if split == "train" else "eval"
    style = plan.style
    if split != "train":
        style = dataclasses.replace(style, mirror=False)
    made = sizes.TASKS[task](bank, rng, number, style)
    for index, item in enumerate(itertools.islice(made, number)):
        origins = sorted(item.origins)
        yield Record(
            id=f"{task}_{split}_{index:06d}",
            source=f"{kind}/{task}",
            images=item.images,
            turns=item.turns,
            meta={
                "task": task,
                **item.meta,
                "rounds": rounds_of(item.turns),
                "recordings": sorted({recording for recording, _ in origins}),
                "instances": sorted({instance for _, instance in origins}),
            },
        )
