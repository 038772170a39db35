"""Published numbers, which were not measured here, with where they come from."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from importlib import resources

from babyvlm_jax.evals.tasks import DEVCV, TASKS

FILE = "published.json"


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
    raw = json.loads((resources.files(__package__) / FILE).read_text("utf-8"))
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
