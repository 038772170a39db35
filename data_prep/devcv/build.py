"""Builds the DevCV datasets: banks -> one dataset per task, summary and card.

Every (task, split) draws from its own dice, seeded by the settings alone: neither the
number of workers nor which tasks are built changes an item.
"""

import dataclasses
import functools
import itertools
import json
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np

from babyvlm_jax.data.questions import rounds_of
from babyvlm_jax.data.schema import Record
from data_prep import jobs
from data_prep.devcv import card, ingest, item_job, sizes
from data_prep.devcv.items import Bank, Style

SUMMARY = "devcv_summary.json"
CARD = "devcv_card.md"


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
    title: str,
    files: Mapping[str, Path],
    load: Callable[[], tuple[list[ingest.Job], list[str]]],
    num_workers: int,
) -> dict:
    """Writes the datasets `devcv_TASK` that are not there yet, then summary and card.

    Args:
        out: folder of the shards.
        plan: what to build.
        tasks: which of `sizes.TASKS`.
        title: what the frames come from.
        files: name -> file of all that is read.
        load: lists the recordings; called only if something is to be built.
        num_workers: worker processes; they change nothing but the time.

    Returns:
        The summary, as written to `out/devcv_summary.json`.

    Raises:
        UserError: `out` holds items from something else, or no item can be made.
    """
    out = Path(out)

    def decode(folder: Path, each: Callable) -> list[str]:
        listed, problems = load()
        banks, faults = ingest.decode(listed, folder, each)
        item_job.write_banks(folder, banks)
        return problems + faults

    items = item_job.ItemJob(
        out=out,
        benchmark="DevCV",
        title=title,
        settings=plan.settings(),
        contents=jobs.Hashes(out).grouped(files),
        tasks=tasks,
        decode=decode,
        records=functools.partial(_records, plan),
        description=functools.partial(card.description, synthetic=plan.synthetic),
        from_frames=tasks,
    )
    summary = item_job.make_items(items, num_workers)
    jobs.write_whole(out / CARD, card.card(summary).encode())
    return summary


def _records(plan: Plan, banks: Mapping[str, Bank], task: str):
    return {
        split: records(task, split, banks[split], number, plan)
        for split, number in plan.wanted[task].items()
    }


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
