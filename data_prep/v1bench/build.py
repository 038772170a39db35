"""Builds the datasets of the four tests: annotated frames of the test split -> items.

Every test draws from its own dice, seeded by the settings alone.
"""

import dataclasses
import itertools
import shutil
import time
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from babyvlm_jax.data.schema import Record, RecordSource, dataset_dir, write_dataset
from babyvlm_jax.errors import UserError
from data_prep.devcv import ingest
from data_prep.devcv.bank import Bank
from data_prep.jobs import write_json, write_whole
from data_prep.stages.item_summary import open_summary
from data_prep.stages.workers import workers
from data_prep.v1bench import generate, records

SPLIT = "test"
SUMMARY = "v1_summary.json"
CARD = "v1_card.md"
SCRATCH = ".v1_scratch"
MAX_LISTED = 200  # problems written out; all are counted
PAIRS = "image_utterance"  # the dataset that captions are taken from
FROM_FRAMES = {
    records.LABELED_S: generate.labeled_s,
    records.TWO_WORD: generate.two_word,
    records.WINOGROUND: generate.winoground,
}
# ours: a demo's standard errors are near 2.5 points
DEMO = {
    records.LABELED_S: 400,
    records.TWO_WORD: 400,
    records.WINOGROUND: 300,
    records.CAPTION: 200,
}
# BabyVLM V1 section 3
FULL = {
    records.LABELED_S: 2200,
    records.TWO_WORD: 967,
    records.WINOGROUND: 365,
    records.CAPTION: 294,
}
SIZES = {"demo": DEMO, "full": FULL}


@dataclasses.dataclass(frozen=True)
class Plan:
    """All that decides what the items are.

    Attributes:
        source: what the frames come from, in words and with a fingerprint.
        synthetic: the pictures are drawn, not filmed.
        seed: the dice.
        side: longest side of a stored picture, None for the frames' own.
        wanted: task -> number of items.
        pairs: folder of the dataset that captions are taken from.
    """

    source: str
    synthetic: bool
    seed: int
    side: int | None
    wanted: dict[str, int]
    pairs: str

    def settings(self) -> dict[str, Any]:
        """The plan as JSON values; equal settings give equal datasets."""
        found = dataclasses.asdict(self)
        del found["pairs"]  # the pairs count, not where they lie
        return found


def build(
    out: Path,
    plan: Plan,
    tasks: Sequence[str],
    load: Callable[[], tuple[list[ingest.Job], list[str]]],
    num_workers: int,
) -> dict[str, Any]:
    """Writes the datasets `v1_TASK` that are not there yet, then the summary.

    Args:
        out: folder of the datasets.
        plan: what to build.
        tasks: which of `records.TASKS`.
        load: lists the recordings; called only if frames are needed.
        num_workers: worker processes, which change nothing but the time.

    Returns:
        The summary, as written to `out/v1_summary.json`.

    Raises:
        UserError: `out` holds items of other settings, or there is nothing to make
            items of.
    """
    started = time.monotonic()
    fresh = {"settings": plan.settings(), "synthetic": plan.synthetic, "tasks": {}}
    fresh |= {"num_skipped": 0, "skipped": []}
    summary = open_summary(out / SUMMARY, "V1", "v1_*", fresh)
    todo = [task for task in tasks if task not in summary["tasks"]]
    if not todo:
        print(f"{out}: all {len(tasks)} V1 datasets are there, nothing to do")
        return summary
    shutil.rmtree(out / SCRATCH, ignore_errors=True)
    bank, problems = None, []
    try:
        if set(todo) & set(FROM_FRAMES):
            bank, problems = _test_bank(out / SCRATCH, load, num_workers)
        for task in tqdm(todo, desc="build V1 items", unit="task"):
            summary["tasks"][task] = _build_task(out, plan, task, bank)
            summary["num_skipped"] += len(problems)
            summary["skipped"] += problems[:MAX_LISTED]
            problems = []
            write_json(out / SUMMARY, summary)
    finally:
        shutil.rmtree(out / SCRATCH, ignore_errors=True)
    summary["seconds"] = round(time.monotonic() - started, 1)
    write_json(out / SUMMARY, summary)
    write_whole(out / CARD, card(summary).encode())
    return summary


def _test_bank(scratch: Path, load, num_workers) -> tuple[Bank, list[str]]:
    """The frames of the test split, without things that training shows."""
    jobs, problems = load()
    trained = {i for job in jobs if job.split == "train" for i in ingest.instances(job)}
    jobs = [job for job in jobs if job.split == SPLIT]
    if not jobs:
        raise UserError("no recording is in the test split, which the items are for")
    scratch.mkdir()
    with workers(num_workers) as each:
        banks, faults = ingest.decode(jobs, scratch, each)
    frames = banks[SPLIT].frames
    kept = [f for f in frames if not any(t.instance in trained for t in f.things)]
    if len(kept) < len(frames):
        faults.append(f"{len(frames) - len(kept)} test frames show things of train")
    return Bank(kept), problems + faults


def _build_task(out: Path, plan: Plan, task: str, bank: Bank | None) -> int:
    """Writes one dataset; returns the number of its items."""
    name = records.dataset_name(task)
    if not dataset_dir(out, name).exists():
        made = list(items(plan, task, bank))
        if not made:
            return 0
        origin = "a procedural (synthetic) world" if plan.synthetic else "recordings"
        about = f"BabyVLM V1, {records.TITLES[task]} Built by data_prep.v1bench from "
        write_dataset(out, name, {SPLIT: made}, f"{about}{origin}.")
    return len(RecordSource(out, name, SPLIT))


def items(plan: Plan, task: str, bank: Bank | None) -> list[Record]:
    """The records of a task, determined by the plan and what it is drawn from.

    Raises:
        UserError: there are no pairs to take captions from.
    """
    rng = np.random.default_rng([plan.seed, zlib.crc32(task.encode())])
    number = plan.wanted[task]
    if task == records.CAPTION:
        source = RecordSource(plan.pairs, PAIRS, SPLIT)
        return list(generate.captions(source, rng, number))
    made = FROM_FRAMES[task](bank, rng, number, generate.Form(plan.side))
    return list(itertools.islice(made, number))


def card(summary: dict[str, Any]) -> str:
    """Markdown: where the items come from and how many there are."""
    settings = summary["settings"]
    origin = (
        "**synthetic**: the pictures are drawn by a procedural world"
        if settings["synthetic"]
        else "real"
    )
    lines = [
        "## BabyVLM V1",
        "",
        f"Items after the four tests of BabyVLM V1; {origin}.",
        f"Built from {settings['source']}, seed {settings['seed']}, longest picture "
        f"side {settings['side'] or 'as the frames'}. Test split only; nothing that",
        "the training split shows. Phrases follow from annotations, and the negative",
        "pictures of Baby Winoground are edits: a thing painted in another colour,",
        "another thing in its place, a frame mirrored.",
        "",
        "| test | items | wanted |",
        "|---|---:|---:|",
        *(
            f"| {records.TITLES[task]} (`{records.dataset_name(task)}`) "
            f"| {number:,} | {settings['wanted'][task]:,} |"
            for task, number in summary["tasks"].items()
        ),
        "",
        f"Left out while reading: {summary['num_skipped']} boxes, frames or recordings "
        f"(listed in `{SUMMARY}`).",
        "",
    ]
    return "\n".join(lines)
