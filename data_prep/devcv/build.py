"""`python -m data_prep.devcv build`: frames -> a bank -> one dataset per task.

The first part is a preparation job for any benchmark (`ItemJob`; data_prep.v1bench has
its own). The bank (see `items.Bank`) is decoded once, into the scratch folder of the
job; each task is a stage of its own. A set grows: a later command with other tasks adds
theirs. After a change of the settings or of an input all tasks that are there must be
made again.

The rest is DevCV's. Every (task, split) draws from its own generator, seeded by the
settings alone: neither the number of workers nor which tasks are built changes an item.
"""

import argparse
import dataclasses
import functools
import itertools
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from babyvlm_jax.data.questions import rounds_of
from babyvlm_jax.data.schema import Record, dataset_dir
from babyvlm_jax.runtime.errors import UserError, add_command_flags
from data_prep import jobs, raw
from data_prep.devcv import ingest, released, vocabulary
from data_prep.devcv.items import MIN_SIDE, PROMPTS, Bank, Frame, Style, Thing
from data_prep.devcv.source import (
    BoxRules,
    Source,
    add_source_flags,
    find_source,
    image_side,
)
from data_prep.devcv.tasks import SIZES, TASKS, chosen_tasks, numbers, published_forms
from data_prep.importing.flags import add_command, check_out, positive
from data_prep.stages.staging import stage_dataset
from data_prep.stages.workers import workers

MAX_LISTED = 200  # problems written out; all are counted
BANKS = "banks.json"
FORMAT = 1  # of the stages; another number makes all anew

Splits = Mapping[str, Iterable[Record]]
SUMMARY = "devcv_summary.json"
CARD = "devcv_card.md"


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
        """Name of the dataset of a task."""
        return f"{self.benchmark.lower()}_{task}"

    def stage(self, task: str | None) -> dict[str, Any]:
        """All that a task depends on, or, without one, the bank."""
        depends = {"settings": self.settings, "inputs": self.contents}
        return {"task": task, **depends, "format": FORMAT}

    def job(self) -> jobs.Job:
        """The job that makes the whole set."""
        pattern = f"{self.dataset('*')}/*"
        return jobs.Job(
            out=self.out,
            name=self.benchmark.lower(),
            kind=f"set of {self.benchmark} items from {self.title}",
            summary=self.out / f"{self.dataset('summary')}.json",
            identity={**self.settings, "inputs": self.contents},
            foreign=lambda: [
                path.parent.name for path in sorted(self.out.glob(pattern))
            ],
            lacks=lambda done: ", ".join(
                t for t in self.tasks if t not in done["tasks"]
            ),
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
        problems = _make(items, job, todo, num_workers, made)
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
                job.publish(jobs.stage_folder(job.scratch, items.stage(task)), target)
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


def _make(items, job, todo, num_workers, made) -> list[str]:
    """Adds the numbers of items of `todo` to `made`; returns what was left out."""
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
        made |= tqdm(done, total=len(todo), desc="build items", unit="task")
    return problems


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
    found = {split: [*map(dataclasses.asdict, b.frames)] for split, b in banks.items()}
    jobs.write_json(folder / BANKS, found)


@functools.lru_cache(maxsize=1)  # a process makes many tasks of one bank
def _read_banks(folder: Path) -> dict[str, Bank]:
    return {
        split: Bank(_frame(folder, frame) for frame in frames)
        for split, frames in jobs.read_json(folder / BANKS).items()
    }


def _frame(folder: Path, found: Mapping[str, Any]) -> Frame:
    things = (Thing(**{**one, "bbox": tuple(one["bbox"])}) for one in found["things"])
    store = str(folder / Path(found["store"]).name)  # the folder may have moved
    return Frame(**{**found, "things": tuple(things), "store": store})


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
        words, published = self.style.vocabulary, self.style.published
        plain = dataclasses.replace(self.style, vocabulary=None, published=())
        found = dataclasses.asdict(dataclasses.replace(self, style=plain))
        del found["style"]["vocabulary"], found["style"]["published"]
        found["style"] |= {name: name in published for name in published_forms()}
        if words is not None:
            found["style"]["vocabulary"] = words.settings()
        return jobs.through_json(found)


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
        tasks: which of `tasks.TASKS`; the longest to build start first.
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
        write_banks(folder, banks)
        return problems + faults

    items = ItemJob(
        out=out,
        benchmark="DevCV",
        title=title,
        settings=plan.settings(),
        contents=jobs.Hashes(out).grouped(files),
        tasks=sorted(tasks, key=lambda task: -TASKS[task].build_rank),
        decode=decode,
        records=functools.partial(_records, plan),
        description=functools.partial(description, synthetic=plan.synthetic),
        from_frames=tasks,
    )
    summary = make_items(items, num_workers)
    jobs.write_whole(out / CARD, card(summary).encode())
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
    kind, style = "instruction", plan.style
    if split != "train":
        kind, style = "eval", dataclasses.replace(style, mirror=False)
    made = TASKS[task].make(bank, rng, number, style)
    for index, item in enumerate(itertools.islice(made, number)):
        yield Record(
            id=f"{task}_{split}_{index:06d}",
            source=f"{kind}/{task}",
            images=item.images,
            turns=item.turns,
            meta={
                "task": task,
                **item.meta,
                "rounds": rounds_of(item.turns),
                "recordings": sorted({recording for recording, _ in item.origins}),
                "instances": sorted({instance for _, instance in item.origins}),
            },
        )


def description(task: str, synthetic: bool) -> str:
    """One sentence for the dataset's own metadata."""
    origin = "a procedural (synthetic) world" if synthetic else "real frames"
    return (
        f"DevCV {TASKS[task].title}: items built by data_prep.devcv from annotated "
        f"frames of {origin}, after BabyVLM-V2."
    )


def card(summary: Mapping[str, Any]) -> str:
    """Markdown: where the items come from, how they look, how many there are."""
    settings = summary["settings"]
    style, origin = settings["style"], "real"
    if settings["synthetic"]:
        origin = "**synthetic**: the pictures are drawn by a procedural world"
    as_published = [name for name in published_forms() if style[name]]
    remarks = [task.remark(style) for task in TASKS.values()]
    there = [task for task in TASKS.values() if task.name in summary["tasks"]]
    known = "; ".join(task.known for task in there if task.known)
    if known:  # what the audit notes of tasks that are defined so (docs/devcv.md)
        told = "Known, as the tasks are so defined, and enough for a matcher of pixels:"
        remarks.append(f"{told} {known}.")
    lines = [
        "## DevCV",
        "",
        f"Benchmark and instruction items after BabyVLM-V2's DevCV Toolbox; {origin}.",
        f"Built from {settings['source']}, seed {settings['seed']}, wording "
        f"`{style['prompts']}`, longest picture side "
        f"{style['image_side'] or 'as the frames'}.",
        f"Published constructions kept: {', '.join(as_published) or 'none'}; the others"
        " are corrected, so that object size, odd-one-out, equal pixels, amount of",
        "ink, clutter, occupied quadrants or colour alone do not tell the answer.",
        *filter(None, remarks),
        "Items of val and test show recordings and object instances that no item of"
        " train shows.",
        "",
        "| task | train | val | test |",
        "|---|---|---|---|",
    ]
    for task in there:
        made, wanted = summary["tasks"][task.name], settings["wanted"][task.name]
        cells = [_cell(made[split], wanted[split]) for split in raw.SPLITS]
        lines.append(f"| {task.title} (`devcv_{task.name}`) | {' | '.join(cells)} |")
    lines += ["", "Prompts, with `ball` for the noun:", ""]
    lines += [
        f"- {task.name}: `{asked}`".replace("\n", "\\n")
        for task in there
        for asked in task.examples(style["prompts"])
    ]
    lines += [
        "",
        f"Left out while reading: {summary['num_skipped']} boxes, frames or recordings "
        "(listed in `devcv_summary.json`).",
        "",
    ]
    return "\n".join(lines)


def _cell(made: int, wanted: int) -> str:
    return f"{made:,}" if made == wanted else f"{made:,} of {wanted:,} wanted"


HELP = """\
Builds one dataset per task; what is there already is kept.

examples:
  python -m data_prep.devcv build --raw=runs/demo/raw --out=runs/demo/shards \\
      --size=demo --prompts=ego4d
  python -m data_prep.devcv build --coco=annotations.json --frames=frames/ \\
      --out=shards --train=2000 --val=100 --test=500 --tasks=count,localize
"""


def add_parser(commands) -> None:
    """Adds the command to those of `python -m data_prep.devcv`."""
    one = add_command(
        commands,
        "build",
        run,
        HELP,
        "build items from annotated frames",
    )
    add_source_flags(one)
    one.add_argument("--out", required=True, help="folder of the shards")
    one.add_argument("--size", choices=sorted(SIZES), default="demo")
    for split in raw.SPLITS:
        one.add_argument(
            f"--{split}", type=positive, help=f"{split} items a task, not --size's"
        )
    one.add_argument("--prompts", choices=PROMPTS, default="saycam")
    one.add_argument("--seed", type=int, default=0)
    one.add_argument("--tasks", help="comma-separated; default: all")
    one.add_argument("--workers", type=positive, default=2, help="processes")
    one.add_argument(
        "--mirror",
        action="store_true",
        help="vdr_*: train items from mirrored frames too",
    )
    one.add_argument(
        "--json", metavar="DIR", help="also write the items in the released layout"
    )
    add_command_flags(one)
    boxes = one.add_argument_group("boxes of a detector (--coco)")
    boxes.add_argument("--detections", metavar="FILE", help="results in COCO's form")
    boxes.add_argument(
        "--min-score", type=float, default=0.0, help="leave out boxes scored lower"
    )
    boxes.add_argument(
        "--min-side",
        type=float,
        default=0.0,
        metavar="PIXELS",
        help="leave out boxes with a shorter side",
    )
    boxes.add_argument(
        "--link-iou",
        type=float,
        default=ingest.MIN_IOU,
        help="overlap that makes boxes of neighbouring frames one thing, if none has "
        f"an instance id (default {ingest.MIN_IOU}); 0: never",
    )
    words = one.add_argument_group("words of Picture Vocabulary")
    words.add_argument(
        "--words",
        metavar="FILE",
        help="only these: a list, or a table as CDI lists are",
    )
    words.add_argument(
        "--vectors",
        metavar="FILE",
        help="word vectors; default: learnt from --text or the corpus's train split",
    )
    words.add_argument("--text", metavar="FILE", help="utterances, one a line")
    words.add_argument(
        "--pronunciations",
        metavar="FILE",
        help="phonemes as the CMU dictionary has them; default: as words are spelt",
    )
    published = one.add_argument_group("constructions as published, with their leaks")
    for name, about in published_forms().items():
        flag = f"--{name.replace('_', '-')}"
        published.add_argument(flag, action="store_true", help=about)


def run(args: argparse.Namespace) -> None:
    """Builds, and tells how many items of each task there are.

    Raises:
        UserError: bad input, or nothing can be built of it.
    """
    chosen, out = chosen_tasks(args.tasks), check_out(args.out)
    rules = BoxRules(args.detections, args.min_score, args.min_side, args.link_iou)
    source = find_source(args, rules)
    plan, where = _plan(args, source), (source.title, source.files, source.load)
    summary = build(out, plan, chosen, *where, args.workers)
    for task, made in sorted(summary["tasks"].items()):
        wanted = summary["settings"]["wanted"][task]
        short = [s for s in made if made[s] < wanted[s]]
        note = "".join(f"; {s}: {wanted[s]} wanted" for s in short)
        print(f"devcv_{task}: {made['train']} + {made['val']} + {made['test']}{note}")
    if args.json is not None:
        number = released.export(Path(args.out), Path(args.json), chosen)
        print(f"{args.json}: {number:,} items in the released layout")


def _plan(args: argparse.Namespace, source: Source) -> Plan:
    style = Style(
        prompts=args.prompts,
        image_side=image_side(args),
        published=frozenset(name for name in published_forms() if vars(args)[name]),
        vdr_frames=(5, 6) if args.size == "demo" else (5, 10),
        mirror=args.mirror,
        vocabulary=vocabulary.vocabulary(
            args.words, args.vectors, args.text, args.pronunciations, args.raw
        ),
    )
    overrides = {split: vars(args)[split] for split in raw.SPLITS}
    return Plan(
        source=source.name,
        synthetic=source.synthetic,
        seed=args.seed,
        style=style,
        wanted=numbers(args.size, overrides),
    )
