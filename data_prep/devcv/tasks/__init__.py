"""The DevCV tasks as they are built: one file for each, found by listing this package.

Every module lists its tasks as `TASKS`, variants of one task together; the facts of a
task (chance, metrics, ages) are in the file of the same name in
`babyvlm_jax.evals.tasks`. Nothing else names a task; docs/add_a_task.md adds one.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from babyvlm_jax.evals import tasks as evaluated
from babyvlm_jax.runtime.errors import UserError
from data_prep import raw
from data_prep.devcv.items import WORDINGS, Bank, Item, Style

PREFIX = "devcv_"
SIZES = ("demo", "full")


@dataclasses.dataclass(frozen=True)
class Task:
    """How the items of one task are built, worded, imported and audited.

    Attributes:
        name: code name, as in `babyvlm_jax.evals.tasks` unless it is an easier form.
        title: in the dataset card.
        make: (bank, rng, number, style) -> at most `number` items; fewer where the
            frames allow no more.
        example: wording -> the first human turn, about a `ball`.
        sizes: key of `SIZES` -> items of (train, val, test).
        easier_form_of: the task that it is an easier form of, to train on only.
        build_rank: tasks of a higher rank take longer to build and start first.
        items_per_dialogue: how many items of other tasks one of its items is worth.
        released_names: what released files, directories and the leaderboard call it;
            lower case, without a `baby_` in front.
        published: constructions as published, with their leaks: name of the flag and
            of the setting -> help.
        remark: style as in the summary -> a sentence for the card, or "".
        known: what the audit notes since the task is so defined, for the card.
        word_field: the meta field of what a question is about.
        is_dialogue: several rounds; right is the image that was not shown before.
        query_is_answer: the right option is the query itself, by definition.
        on_canvas: its images are copies of an object on black canvases.
        images_ask: the images alone are the whole question.
    """

    name: str
    title: str
    make: Callable[[Bank, np.random.Generator, int, Style], Iterator[Item]]
    example: Callable[[str], str]
    sizes: Mapping[str, tuple[int, int, int]]
    easier_form_of: str = ""
    build_rank: int = 0
    items_per_dialogue: int = 1
    released_names: tuple[str, ...] = ()
    published: Mapping[str, str] = dataclasses.field(default_factory=dict)
    remark: Callable[[Mapping], str] = lambda style: ""
    known: str = ""
    word_field: str = "noun"
    is_dialogue: bool = False
    query_is_answer: bool = False
    on_canvas: bool = False
    images_ask: bool = False

    @property
    def facts(self) -> evaluated.Task:
        """The benchmark task that it is, or that it is an easier form of."""
        return evaluated.TASKS[self.easier_form_of or self.name]

    def examples(self, prompts: str) -> list[str]:
        """The first human turns of a style's `prompts`, about a `ball`."""
        wordings = WORDINGS if prompts == "both" else (prompts,)
        return sorted({self.example(wording) for wording in wordings})


def published_forms() -> dict[str, str]:
    """Every construction that can be kept as published, and the help of its flag."""
    return {
        name: about for task in TASKS.values() for name, about in task.published.items()
    }


def numbers(size: str, overrides: Mapping[str, int | None]) -> dict[str, dict]:
    """Task -> split -> wanted items.

    numbers("demo", {"train": 100, "val": None, "test": None})["memory"]
        -> {"train": 25, "val": 20, "test": 60}

    Args:
        size: one of `SIZES`.
        overrides: split -> number for every task that has the split, or None; dialogues
            get as much less as they weigh more.
    """
    wanted = {}
    for name, task in TASKS.items():
        wanted[name] = dict(zip(raw.SPLITS, task.sizes[size], strict=True))
        for split, number in overrides.items():
            if number is not None and wanted[name][split]:
                wanted[name][split] = -(-number // task.items_per_dialogue)
    return wanted


def dataset_name(task: str, source: str = "") -> str:
    """Name of the dataset of a task; `source` is the corpus of an imported set.

    dataset_name("count", "ego4d") -> "devcv_ego4d_count"
    """
    return f"{PREFIX}{source}_{task}" if source else f"{PREFIX}{task}"


def dataset_parts(name: str) -> tuple[str, str] | None:
    """(task, source) of a dataset, None where its name is not that of a DevCV task.

    dataset_parts("devcv_ego4d_vdr_open") -> ("vdr_open", "ego4d")
    """
    fits = [t for t in TASKS if name.endswith(f"_{t}") and name.startswith(PREFIX)]
    if not fits:
        return None
    task = max(fits, key=len)
    return task, name[len(PREFIX) :].removesuffix(task).removesuffix("_")


def chosen_tasks(listed: str | None) -> tuple[str, ...]:
    """Tasks of a comma-separated list, all of them where there is none.

    Raises:
        UserError: one of them is unknown.
    """
    if listed is None:
        return tuple(TASKS)
    chosen = listed.split(",")
    unknown = [task for task in chosen if task not in TASKS]
    if unknown:
        raise UserError(
            f"--tasks: unknown {', '.join(unknown)}; choose from {', '.join(TASKS)}"
        )
    return tuple(chosen)


# Last, since the modules import `Task` from here.
TASKS: Mapping[str, Task] = {
    task.name: task
    for task in sorted(
        evaluated.listed(__name__, __path__),
        key=lambda task: (task.facts.order, bool(task.easier_form_of)),
    )
}
