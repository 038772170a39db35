"""Sets of items: which datasets of which sources there are, and what they hold."""

import dataclasses
from collections.abc import Sequence

from etils import epath

from babyvlm_jax.data.questions import add_rounds
from babyvlm_jax.data.schema import Record, RecordSource, dataset_dir
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.evals.items import find_problem
from babyvlm_jax.evals.tasks import DEVCV, TASKS, Task
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.files import is_there, split_list

ALL = "all"
PRIOR_ITEMS = 1000  # ours: enough to know what training makes likeliest


@dataclasses.dataclass(frozen=True)
class ItemSet:
    """The items of one task from one source.

    Attributes:
        source: its name, "" if it is the only one.
        shards: folder of its datasets.
        task: the task.
        split: which items.
    """

    source: str
    shards: str
    task: Task
    split: str

    @property
    def key(self) -> str:
        """Name in results.json: the task's, after that of the source."""
        return f"{self.source}/{self.task.name}" if self.source else self.task.name

    def open(self, split: str = "") -> RecordSource:
        """Its records, of its own split or another."""
        return RecordSource(self.shards, self.task.dataset, split or self.split)

    @property
    def fingerprint(self) -> list[str]:
        """Of its items, and of the training items that a prior is counted on.

        Of a dataset that cannot be read, what is wrong with it.
        """
        try:
            there = splits_of(self.shards, self.task.dataset)
            splits = [self.split, *(split for split in ("train",) if split in there)]
            return [self.open(split).fingerprint for split in splits]
        except UserError as error:  # reported when its turn comes
            return [str(error)]

    def trained_on(self) -> list[Record]:
        """Items of the training split, at most `PRIOR_ITEMS`; none if there is none."""
        if "train" not in splits_of(self.shards, self.task.dataset):
            return []
        records = self.open("train")
        return [records[i] for i in range(min(len(records), PRIOR_ITEMS))]


@dataclasses.dataclass(frozen=True)
class Problem:
    """An item that cannot be asked, an answer that belongs to none, or a whole set."""

    key: str
    id: str
    what: str

    def __str__(self):
        which = f", item {self.id!r}" if self.id else ""
        return f"{self.key}{which}: {self.what}"


def parse_sources(text: str) -> dict[str, str]:
    """Folders of datasets by the name of their source.

    "runs/demo/shards" gives {"": "runs/demo/shards"}, "ego4d=/a,saycam=/b" gives
    {"ego4d": "/a", "saycam": "/b"}. A folder that is there may have commas and signs
    of equality in its name.

    Raises:
        UserError: several folders and one has no name, or a name comes twice.
    """
    if is_there(text):
        return {"": text}
    parts = split_list(text, lambda part: is_there(part.partition("=")[2]))
    pairs = [part.partition("=") for part in parts]
    if len(pairs) == 1 and not pairs[0][1]:
        return {"": pairs[0][0]}
    found = {name: folder for name, equals, folder in pairs if equals and name}
    if len(found) != len(pairs) or not found or not all(found.values()):
        raise UserError(
            f"config.shards={text!r}: give one folder, or NAME=FOLDER for each, as in "
            "ego4d=/data/ego4d,saycam=/data/saycam"
        )
    return found


def find_sets(
    sources: dict[str, str], names: Sequence[str], tasks: Sequence[Task], split: str
) -> tuple[list[ItemSet], list[str]]:
    """The sets that are there.

    A source has the sets that were imported under its name (`devcv_ego4d_count`), if
    its folder holds any; otherwise those without a name (`devcv_count`).

    Args:
        sources: of `parse_sources`.
        names: of tasks as the user gave them; `all` takes what there is.
        tasks: those that are meant.
        split: which items.

    Returns:
        The sets, source by source, and the keys of those that are not there.

    Raises:
        UserError: a task that was named is in no source, or there is no set at all.
    """
    wanted = [
        ItemSet(source, shards, task, split)
        for source, shards in sources.items()
        for task in _as_stored(tasks, source, shards)
    ]
    there = [s for s in wanted if dataset_dir(s.shards, s.task.dataset).exists()]
    found = {one.task.name for one in there}
    if not there:
        _check_named(wanted)
    for one in wanted:
        if not there or (one.task.name in names and one.task.name not in found):
            one.open()  # says what is missing
    return there, [one.key for one in wanted if one not in there]


def _as_stored(tasks, source, shards) -> Sequence[Task]:
    imported = source and any(
        dataset_dir(shards, dataclasses.replace(task, corpus=source).dataset).exists()
        for task in TASKS.values()
    )
    if not imported:
        return tasks
    return [dataclasses.replace(task, corpus=source) for task in tasks]


def _check_named(wanted: Sequence[ItemSet]) -> None:
    """Raises UserError if a folder has such sets of sources by other names."""
    for one in wanted:
        start, end = f"{DEVCV}_", f"_{one.task.name}"
        names = [path.name for path in epath.Path(one.shards).glob(f"{start}*{end}")]
        names = [name.removeprefix(start) for name in sorted(names)]
        names = [name.removesuffix(end) for name in names if name not in TASKS]
        if names:
            raise UserError(
                f"config.shards: {one.shards} holds sets that were imported as "
                f"{', '.join(names)}; say which, as in "
                f"--config.shards={names[0]}={one.shards}"
            )


def read_items(
    item_set: ItemSet, limit: int, needs_options: bool
) -> tuple[list[Record], list[Problem]]:
    """Reads the items that can be asked.

    Args:
        item_set: where from.
        limit: only the first so many, whose order is a shuffle; 0: all.
        needs_options: see `items.find_problem`.

    Returns:
        The items in the order of their ids, and what is wrong with the others.

    Raises:
        UserError: there are none.
    """
    source = item_set.open()
    size = min(limit, len(source)) if limit else len(source)
    records, problems = [], []
    for index in range(size):
        try:
            record = add_rounds(source[index])
        except SystemFault:
            raise
        except UserError as error:  # as many marks as pictures, or damaged
            problems.append(Problem(item_set.key, f"number {index}", str(error)))
            continue
        what = find_problem(item_set.task, record, needs_options)
        if what:
            problems.append(Problem(item_set.key, record.id, what))
        else:
            records.append(record)
    if not records:
        why = f": {problems[0]}" if problems else ""
        raise UserError(f"{source} has no items to evaluate{why}; build it again")
    return sorted(records, key=lambda record: record.id), problems
