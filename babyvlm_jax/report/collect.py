"""Reads what a report shows beside the scores: curves, published numbers, test items.

Nothing here draws anything. What is missing or damaged is a `UserError` that names the
remedy.
"""

import base64
import contextlib
import dataclasses
import hashlib
import io
import json
import math
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib import resources
from typing import Any

from babyvlm_jax.data.images import open_image, read_image
from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK, INFO, Record, RecordSource
from babyvlm_jax.evals import tables
from babyvlm_jax.evals.results import (
    RESULTS,
    TaskResult,
    read_evaluation,
    rounds_of,
)
from babyvlm_jax.evals.tasks import DEVCV, TASKS
from babyvlm_jax.runtime import json_fields
from babyvlm_jax.runtime.errors import UserError, read_bytes

PHASES = ("language", "vision", "connector", "joint", "instruct")
LOSS, HELD_OUT = "train/loss", "val/loss"
PUBLISHED = "published.json"
ITEMS_PER_TASK = 4
DIALOGUES_PER_TASK = 2
KEEP_BYTES = 6_000  # images up to this size go into the page as they are
MAX_SIDE = 160


@dataclasses.dataclass(frozen=True)
class Phase:
    """The training curve of one phase: one loss for each logged step.

    Attributes:
        held_out: (step, loss) of each validation, if there were any.
    """

    name: str
    steps: tuple[int, ...]
    losses: tuple[float, ...]
    seconds: float
    config: Mapping[str, Any]
    held_out: tuple[tuple[int, float], ...] = ()


Growth = Mapping[int, TaskResult]  # step -> a task's entry, in order


def read_growth(workdir: pathlib.Path, suffix: str = "") -> list[Growth]:
    """Scores over all evaluated steps of a run, for tasks with two steps or more.

    Args:
        workdir: the run folder.
        suffix: of the evaluations' names, after the step.
    """
    folders = {
        path.parent.name.removesuffix(suffix): path.parent
        for path in workdir.glob(f"eval/*{suffix}/{RESULTS}")
    }
    found: dict[str, dict[int, TaskResult]] = {}
    for step in sorted(filter(str.isdigit, folders), key=int):
        for task in tables.reading_order(read_evaluation(folders[step]).tasks):
            found.setdefault(task.key, {})[int(step)] = task
    return [growth for growth in found.values() if len(growth) > 1]


def read_phases(workdir: pathlib.Path) -> tuple[Phase, ...]:
    """Reads the curves of the phases that have a metrics.jsonl, in training order."""
    folders = [workdir / name for name in PHASES]
    return tuple(
        _phase(folder) for folder in folders if (folder / "metrics.jsonl").exists()
    )


def _logged(path: pathlib.Path) -> Iterator[dict[str, Any]]:
    """Objects, one per line; what a run has half written, or a kill has, is skipped."""
    for line in read_bytes(path).splitlines():
        with contextlib.suppress(ValueError):
            yield json.loads(line)


def _phase(folder: pathlib.Path) -> Phase:
    losses, held_out, seconds = {}, {}, 0.0
    for entry in _logged(folder / "metrics.jsonl"):
        seconds = max(seconds, entry.get("time_s", 0.0))
        if LOSS in entry and math.isfinite(entry[LOSS]):
            # A resumed run repeats steps: the last one counts.
            losses[entry["step"]] = entry[LOSS]
        if HELD_OUT in entry and math.isfinite(entry[HELD_OUT]):
            held_out[entry["step"]] = entry[HELD_OUT]
    config = folder / "config.json"
    steps = tuple(sorted(losses))
    return Phase(
        name=folder.name,
        steps=steps,
        losses=tuple(losses[step] for step in steps),
        seconds=seconds,
        config=json_fields.read_json(config) if config.exists() else {},
        held_out=tuple(sorted(held_out.items())),
    )


@dataclasses.dataclass(frozen=True)
class Number:
    """One published number.

    Attributes:
        who: a model, or human adults.
        task: ours; "" for a mean, which `what` describes.
        metric: ours; "" where the source does not say which.
        value: share in [0, 1].
        sources: where it was read, in words.
        note: conflicts and doubts.
    """

    who: str
    task: str
    metric: str
    what: str
    value: float
    sources: tuple[str, ...]
    note: str

    @property
    def benchmark(self) -> str:
        """The benchmark it belongs to; means are of DevCV."""
        return TASKS[self.task].benchmark if self.task else DEVCV


@dataclasses.dataclass(frozen=True)
class Published:
    """All numbers, and what they are about."""

    about: str
    numbers: tuple[Number, ...]

    def beside(self, task: str, metric: str) -> tuple[Number, ...]:
        """Numbers of a task in a metric, or in one that is not known."""
        return tuple(
            one
            for one in self.numbers
            if one.task == task and one.metric in (metric, "")
        )


def read_published(tasks: Iterable[str] = TASKS) -> Published:
    """Reads the data file of the package.

    Args:
        tasks: names of ours; their benchmarks' numbers are read.
    """
    raw = json.loads((resources.files(__package__) / PUBLISHED).read_text("utf-8"))
    wanted = {TASKS[name].benchmark for name in tasks if name in TASKS}
    made = [_number(one, raw["sources"]) for one in raw["numbers"] + raw["overall"]]
    about = [text for name, text in raw["about"].items() if name in wanted]
    return Published(
        " ".join(about), tuple(one for one in made if one.benchmark in wanted)
    )


def _number(one: Mapping, sources: Mapping[str, str]) -> Number:
    return Number(
        who=one["who"],
        task=one.get("task", ""),
        metric=one.get("metric", ""),
        what=one.get("what", ""),
        value=one["value"],
        sources=tuple(sources[name] for name in one["sources"]),
        note=one["note"],
    )


@dataclasses.dataclass(frozen=True)
class Picture:
    """An image as a data URI; `label` is the "(A)" written before it, or "".

    `src` is "" where an image of a recording is not to be shown.
    """

    src: str
    alt: str
    label: str


@dataclasses.dataclass(frozen=True)
class ShownRound:
    """One question: text and images in prompt order, the two answers."""

    parts: tuple[str | Picture, ...]
    answer: str
    prediction: str
    correct: bool


@dataclasses.dataclass(frozen=True)
class ShownItem:
    """One benchmark item; a dialogue has several rounds."""

    id: str
    rounds: tuple[ShownRound, ...]

    @property
    def num_right(self) -> int:
        return sum(one.correct for one in self.rounds)


def choose(
    predictions: Sequence[Mapping[str, Any]], count: int
) -> list[Mapping[str, Any]]:
    """Chooses items so that right and wrong answers both show, always the same ones.

    Items stand in the order of a hash of their ids (ids themselves may be sorted by
    answer); half come from each side, and a side that has too few is filled from the
    other. In a dialogue "right" means at least the median number of right rounds.

    Args:
        predictions: the lines of one task.
        count: how many to choose.

    Returns:
        Up to `count` predictions, right ones first.
    """
    ordered = sorted(predictions, key=lambda entry: _hash(entry["id"]))
    marks = sorted(_share_right(entry) for entry in ordered)
    bar = max(marks[len(marks) // 2], 1e-9) if "rounds" in ordered[0] else 1.0
    right = [entry for entry in ordered if _share_right(entry) >= bar]
    wrong = [entry for entry in ordered if _share_right(entry) < bar]
    num_wrong = min(len(wrong), max(count // 2, count - len(right)))
    return right[: count - num_wrong] + wrong[:num_wrong]


def load_items(
    shards: str | os.PathLike,
    split: str,
    predictions: Sequence[Mapping[str, Any]],
    with_images: bool = False,
) -> list[ShownItem]:
    """Chooses items of one task and reads them from its shard.

    Args:
        shards: folder that holds the datasets.
        split: the split that was evaluated.
        predictions: all predictions of one task; they name their dataset.
        with_images: show images of recordings too, not only drawn ones.

    Returns:
        The chosen items.

    Raises:
        UserError: the dataset, the split or an item is not there.
    """
    if not predictions:
        return []
    dialogue = "rounds" in predictions[0]
    chosen = choose(predictions, DIALOGUES_PER_TASK if dialogue else ITEMS_PER_TASK)
    source = RecordSource(shards, chosen[0]["dataset"], split)
    records = _find(source, [entry["id"] for entry in chosen])
    is_shown = with_images or _is_drawn(source)
    return [make_item(records[entry["id"]], entry, is_shown) for entry in chosen]


def _is_drawn(source: RecordSource) -> bool:
    """Whether our own builders describe the dataset as drawn, not filmed."""
    info = json.loads((source.folder / INFO).read_text())
    return "a procedural (synthetic) world" in info.get("description", "")


def make_item(
    record: Record, prediction: Mapping[str, Any], is_shown: bool = True
) -> ShownItem:
    """Joins a record with what the model said about it."""
    images = iter(record.images)
    prompts = [text for role, text in record.turns if role == HUMAN]
    answers = rounds_of(prediction)
    rounds = []
    for number, (prompt, said) in enumerate(zip(prompts, answers, strict=True)):
        marks = prompt.count(IMAGE_MARK)
        names = _labels(record.meta, number, marks)
        pictures = [(next(images), name) for name in names]
        rounds.append(
            ShownRound(
                parts=_parts(prompt, pictures, is_shown),
                answer=str(said["answer"]),
                prediction=str(said["prediction"] or "").strip(),
                correct=bool(said["correct"]),
            )
        )
    return ShownItem(id=record.id, rounds=tuple(rounds))


def _parts(prompt: str, pictures, is_shown) -> tuple[str | Picture, ...]:
    """Splits a prompt at its marks; an option letter stays with its image."""
    texts = prompt.split(IMAGE_MARK)
    parts = []
    for number, (image, name) in enumerate(pictures, 1):
        text, label = _cut_label(texts[number - 1])
        parts += [text] if text.strip() else []
        alt = f"picture {number} of {len(pictures)}" + (f": {name}" if name else "")
        src = _data_uri(image) if is_shown else ""
        parts.append(Picture(src=src, alt=alt, label=label))
    return tuple(parts + ([texts[-1]] if texts[-1].strip() else []))


def _cut_label(text: str) -> tuple[str, str]:
    """'... this? (A) ' -> ('... this? ', '(A)')."""
    stripped = text.rstrip()
    if len(stripped) > 2 and stripped[-3] == "(" and stripped[-1] == ")":
        return stripped[:-3], stripped[-3:]
    return text, ""


def _labels(meta: Mapping[str, Any], number: int, marks: int) -> list[str]:
    """What each image of a round shows, where the record says so."""
    labels = meta["labels"][number] if "labels" in meta else meta.get("options", [])
    return list(labels) if len(labels) == marks else [""] * marks


def _data_uri(image: bytes) -> str:
    if len(image) > KEEP_BYTES:
        image = _shrink(image)
    with open_image(image) as picture:
        kind = picture.get_format_mimetype()
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def _shrink(image: bytes) -> bytes:
    picture = read_image(image, MAX_SIDE)
    picture.thumbnail((MAX_SIDE, MAX_SIDE))
    out = io.BytesIO()
    picture.save(out, "JPEG", quality=85)
    return out.getvalue()


def _find(source: RecordSource, ids: Sequence[str]) -> dict[str, Record]:
    found = {}
    for index in range(len(source)):
        record = source[index]
        if record.id in ids:
            found[record.id] = record
            if len(found) == len(ids):
                return found
    missing = sorted(set(ids) - set(found))
    raise UserError(
        f"the predictions name item {missing[0]!r}, but dataset {source.name!r} has no "
        f"such item in split {source.split!r}; pass the --shards that were evaluated "
        f"or run babyvlm_jax.evaluate again"
    )


def _share_right(entry):
    rounds = rounds_of(entry)
    return sum(bool(one["correct"]) for one in rounds) / len(rounds)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
