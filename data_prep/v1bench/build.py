"""Builds the datasets of the four tests: annotated frames of the test split -> items.

Every test draws from its own dice, seeded by the settings alone.
"""

import dataclasses
import functools
import itertools
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from babyvlm_jax.data.schema import Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError
from data_prep import jobs
from data_prep.devcv import ingest
from data_prep.devcv.build import ItemJob, count, make_items, write_banks
from data_prep.devcv.items import Bank
from data_prep.v1bench import generate, records

SPLIT = "test"
SUMMARY = "v1_summary.json"
CARD = "v1_card.md"
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
    title: str,
    files: Mapping[str, Path],
    load: Callable[[], tuple[list[ingest.Job], list[str]]],
    num_workers: int,
) -> dict[str, Any]:
    """Writes the datasets `v1_TASK` that are not there yet, then summary and card.

    Args:
        out: folder of the datasets.
        plan: what to build.
        tasks: which of `records.TASKS`.
        title: what the frames come from.
        files: name -> file of all that is read.
        load: lists the recordings; called only if frames are needed.
        num_workers: worker processes, which change nothing but the time.

    Returns:
        The summary, as written to `out/v1_summary.json`.

    Raises:
        UserError: `out` holds items from something else, or there is nothing to make
            items of.
    """
    contents = jobs.Hashes(out).grouped(files)
    if SPLIT in splits_of(plan.pairs, PAIRS):
        contents[PAIRS] = RecordSource(plan.pairs, PAIRS, SPLIT).fingerprint
    items = ItemJob(
        out=out,
        benchmark="V1",
        title=title,
        settings=plan.settings(),
        contents=contents,
        tasks=tasks,
        decode=functools.partial(_decode, load),
        records=functools.partial(_records, plan),
        description=functools.partial(_description, plan.synthetic),
        from_frames=tuple(FROM_FRAMES),
    )
    summary = make_items(items, num_workers)
    jobs.write_whole(out / CARD, card(summary).encode())
    return summary


def _decode(load, folder: Path, each: Callable) -> list[str]:
    """Writes the bank of the test split, without things that training shows."""
    listed, problems = load()
    train = [job for job in listed if job.split == "train"]
    trained = {i for job in train for i in ingest.instances(job)}
    test = [job for job in listed if job.split == SPLIT]
    if not test:
        raise UserError("no recording is in the test split, which the items are for")
    banks, faults = ingest.decode(test, folder, each)
    frames = banks[SPLIT].frames
    kept = [f for f in frames if not any(t.instance in trained for t in f.things)]
    if len(kept) < len(frames):
        faults.append(f"{len(frames) - len(kept)} test frames show things of train")
    write_banks(folder, {SPLIT: Bank(kept)})
    return problems + faults


def _description(synthetic: bool, task: str) -> str:
    origin = "a procedural (synthetic) world" if synthetic else "recordings"
    about = f"BabyVLM V1, {records.TITLES[task]} Built by data_prep.v1bench from "
    return f"{about}{origin}."


def _records(plan: Plan, banks: Mapping[str, Bank], task: str):
    return {SPLIT: items(plan, task, banks.get(SPLIT))}


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
            f"| {count(made):,} | {settings['wanted'][task]:,} |"
            for task, made in summary["tasks"].items()
        ),
        "",
        f"Left out while reading: {summary['num_skipped']} boxes, frames or recordings "
        f"(listed in `{SUMMARY}`).",
        "",
    ]
    return "\n".join(lines)
