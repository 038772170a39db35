"""The benchmark's tasks: one file of facts for each, and no code that runs one.

Every module of this package lists its tasks as `TASKS`: variants of one task share a
file, and nothing else names a task (see docs/add_a_task.md). Twelve are of DevCV
(BabyVLM-V2), ten of them headline tasks, one for each DevCV task; the second variants
of two groups appear as extra rows. Four are of BabyVLM V1, its captions an extra row.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from babyvlm_jax.runtime.errors import UserError

# Kinds of answers are LETTER, NUMBER, DIRECTION of `data.questions`, and
CAPTION = "caption"

# Ways to ask a model.
GENERATE = "generate"
CHOICE = "choice"
MATCH = "match"
PROTOCOLS = (GENERATE, CHOICE, MATCH)

# Lines of breakdowns, beside NUMBER and DIRECTION.
WORD = "word"
QUADRANT = "quadrant"
ROUND = "round"
DIFFERENCE = "difference"

DEVCV = "devcv"
V1 = "v1"

QUADRANTS = ("top left", "top right", "bottom left", "bottom right")

LANGUAGE = "Language"
EXECUTIVE = "Executive Function/Memory"
MATH = "Math"


@dataclasses.dataclass(frozen=True)
class Leaderboard:
    """A task's slot on the public leaderboard.

    Attributes:
        name: of the slot.
        place: among the slots.
        metrics: our metric -> the leaderboard's; has the task's primary metric.

    Source: BabyVLM leaderboard 2026. Its Looking While Listening slot is V1's Baby
    Winoground, and Subitizing has no slot.
    """

    name: str
    place: int
    metrics: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Task:
    """One benchmark task.

    Attributes:
        name: code name; the dataset is `BENCHMARK_NAME`, or `BENCHMARK_CORPUS_NAME`.
        title: name for people.
        group: the DevCV task it belongs to.
        ages: youngest and oldest, in months, that the adapted measure is for.
        domain: Language, Executive Function/Memory or Math.
        answer: kind of answer: `letter`, `number`, `direction` or `caption`.
        chance: metric -> expected value of guessing; its keys are the task's metrics.
        primary: the metric that is the task's score.
        headline: whether the row stands for its group.
        held_out: whether the task has no training set.
        largest_number: highest number that may be the answer (`number` only).
        breakdown: what its score is broken down by; "" for nothing.
        benchmark: `devcv` or `v1`.
        protocols: the ways in which it can be asked.
        ties_fail: `match` counts options of equal score as wrong, always.
        score_eos: likelihoods count the end of a text, whatever the settings.
        corpus: of an imported set, part of the dataset's name; "" for none.
        order: its place in tables, by default the last.
        leaderboard: its slot on the public leaderboard, if it has one.

    Source: BabyVLM-V2 and the DevCV Toolbox; chance from uniform guessing; ages from
    the NIH Baby Toolbox. BabyVLM (V1), whose recordings show a child of 6 to 25 months.
    """

    name: str
    title: str
    group: str
    domain: str
    ages: tuple[int, int]
    answer: str
    chance: Mapping[str, float]
    primary: str = "accuracy"
    headline: bool = True
    held_out: bool = False
    largest_number: int = 0
    breakdown: str = ""
    benchmark: str = DEVCV
    protocols: tuple[str, ...] = PROTOCOLS
    ties_fail: bool = False
    score_eos: bool = False
    corpus: str = ""
    order: int = 1000
    leaderboard: Leaderboard | None = None

    @property
    def dataset(self) -> str:
        """Name of the dataset that holds the items."""
        return "_".join(filter(None, (self.benchmark, self.corpus, self.name)))

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the task's metrics."""
        return tuple(self.chance)


def listed(package: str, path: Sequence[str]) -> Iterator[Any]:
    """What the modules of a package list as their `TASKS`, modules by name.

    Args:
        package: its name.
        path: its `__path__`.
    """
    for module in pkgutil.iter_modules(path, f"{package}."):
        yield from importlib.import_module(module.name).TASKS


def select_tasks(names: Sequence[str]) -> tuple[Task, ...]:
    """Looks tasks up by name, in the order of the table.

    `devcv` and `v1` mean every task of that benchmark, `all` those of both.

    Raises:
        UserError: a name is unknown, or there is none.
    """
    unknown = sorted(set(names) - set(TASKS) - {"all", DEVCV, V1})
    if unknown or not names:
        raise UserError(
            f"tasks {unknown or list(names)}: give 'devcv', 'v1', 'all' or some of "
            f"{', '.join(TASKS)}"
        )
    wanted = set(names)
    return tuple(
        task for task in TASKS.values() if wanted & {"all", task.benchmark, task.name}
    )


# Last, since the modules import `Task` from here.
TASKS: Mapping[str, Task] = {
    task.name: task
    for task in sorted(listed(__name__, __path__), key=lambda task: task.order)
}
