"""Items of a benchmark: the sets that there are, their records, questions and faults.

An item is a record of questions and right answers in turn; a dialogue has several.
Nothing here scores an answer.
"""

import dataclasses
import hashlib
import re
from collections.abc import Sequence

from etils import epath

from babyvlm_jax.data.images import open_image
from babyvlm_jax.data.questions import (
    BAD_ROUNDS,
    DIRECTION,
    NO_CHOICES,
    NUMBER,
    RING,
    TEXT,
    add_rounds,
    questions_of,
    recording_of,
)
from babyvlm_jax.data.schema import (
    ASSISTANT,
    HUMAN,
    IMAGE_MARK,
    Record,
    RecordSource,
    dataset_dir,
)
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.evals.tasks import (
    CAPTION,
    DEVCV,
    DIFFERENCE,
    QUADRANT,
    QUADRANTS,
    TASKS,
    WORD,
    Task,
)
from babyvlm_jax.runtime.errors import SystemFault, UserError
from babyvlm_jax.runtime.files import is_there, split_list

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
        needs_options: see `find_problem`.

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
        except UserError as error:  # as many marks as images, or damaged
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


def gold_texts(record: Record) -> list[str]:
    """The right answers' texts, the assistant turns of a record."""
    return [text for role, text in record.turns if role == ASSISTANT]


def num_rounds(record: Record) -> int:
    """Number of questions in a record."""
    return sum(role == HUMAN for role, _ in record.turns)


def round_images(record: Record) -> list[tuple[bytes, ...]]:
    """The images of each round."""
    images = iter(record.images)
    return [
        tuple(next(images) for _ in range(text.count(IMAGE_MARK)))
        for role, text in record.turns
        if role == HUMAN
    ]


def round_record(record: Record, replies: Sequence[str]) -> Record:
    """The dialogue up to its next question, with `replies` as the earlier answers.

    Turns (q1, a1), (q2, a2), (q3, a3) and one reply r1 give (q1, r1), (q2, a2); a2 is
    the answer that the caller asks for. An image mark in a reply is dropped, because
    no image belongs to it.
    """
    turns = list(record.turns[: 2 * len(replies) + 2])
    for number, reply in enumerate(replies):
        turns[2 * number + 1] = (ASSISTANT, reply.replace(IMAGE_MARK, ""))
    marks = sum(text.count(IMAGE_MARK) for _, text in turns)
    return dataclasses.replace(record, turns=tuple(turns), images=record.images[:marks])


def option_labels(record: Record) -> list[list[str]]:
    """Names of the options of each round.

    They are the item's `labels`; without those, each image is named by its bytes, as
    repeated items are the same file.
    """
    if "labels" in record.meta:
        return [list(options) for options in record.meta["labels"]]
    names = [hashlib.sha256(image).hexdigest() for image in record.images]
    return [
        [names[image] for image in question.options or question.images]
        for question in questions_of(record)
    ]


# of an item and of its augmented copy; #2 is ours, of an id that comes again
_COPY = re.compile(r"_(?:original|augmented|aug)(?:#\d+)?$")


def cluster(record: Record) -> str:
    """What an item shares with others: its recordings, or else itself.

    The recordings are in its meta, or in its id, see `recording_of`; an item and its
    augmented copy go together in any case.
    """
    if record.meta.get("recordings"):
        return " ".join(sorted(record.meta["recordings"]))
    return recording_of(record.id) or _COPY.sub("", record.id)


def offered(task: Task, record: Record) -> list[tuple[str, ...]]:
    """The answers that each round of an item allows, as the right ones are spelt.

    Directions stand in ring order whatever the prompt, so that the first of equals
    does not depend on its wording; a number is one of the task's.

    Raises:
        UserError: a question that allows any text.
    """
    return [_offered(task, question) for question in questions_of(record)]


def _offered(task, question) -> tuple[str, ...]:
    if question.kind == DIRECTION:
        return tuple(sorted(question.choices, key=RING.index))
    if question.choices:
        return question.choices
    if question.kind == NUMBER and task.largest_number:
        return tuple(str(number) for number in range(1, task.largest_number + 1))
    raise UserError(
        f"task {task.name!r}: the prompt {question.prompt!r} offers no {task.answer}; "
        "use the protocol 'generate' for it"
    )


def option_images(record: Record) -> list[dict[str, bytes]]:
    """Choice -> image for each round; {} where the choices are no images."""
    return [
        dict(
            zip(
                question.choices,
                [record.images[image] for image in question.options],
                strict=False,
            )
        )
        for question in questions_of(record)
    ]


def find_problem(task: Task, record: Record, needs_options: bool) -> str | None:
    """What makes an item unfit to be asked, in words; None if nothing does.

    Args:
        task: the task.
        record: its item.
        needs_options: answers are chosen from those offered, so they must be there.
    """
    roles = [role for role, _ in record.turns]
    if not roles or roles != [HUMAN, ASSISTANT] * (len(roles) // 2):
        return f"turns go {roles}, expected human and assistant in turn"
    if "adjusted" in task.metrics and len(roles) < 4:
        return "a memory dialogue of one round tests nothing"
    for number, image in enumerate(record.images, 1):
        if not is_picture(image):
            return f"picture {number} of {len(record.images)} is missing or damaged"
    golds = gold_texts(record)
    for question, gold in zip(questions_of(record), golds, strict=True):
        if what := _find_fault(task, question, gold, needs_options):
            return what
    for question, shown in zip(
        questions_of(record), option_images(record), strict=True
    ):
        right = shown.get(question.answer)
        same = [letter for letter, image in shown.items() if image == right]
        if right is not None and len(same) > 1:
            return f"options {' and '.join(same)} are the same picture, the right one"
    return None


def _find_fault(task, question, gold, needs_options) -> str | None:
    asked = f"the prompt {question.prompt!r}"
    if question.fault == BAD_ROUNDS:
        return f"its meta has no valid entry of 'rounds' for {asked}"
    expected = {NUMBER: task.answer == NUMBER, TEXT: task.answer == CAPTION}
    if question.fault == NO_CHOICES or not expected.get(question.kind, True):
        return f"{asked} offers no {task.answer} in a form that is known"
    if question.fault:
        return f"the right answer {gold!r} is none that {asked} offers"
    if needs_options and question.kind == TEXT:
        return f"{asked} offers no choices; use the protocol 'generate'"
    if needs_options and question.answer not in _offered(task, question):
        return f"the right answer {gold!r} is beyond {task.largest_number}"
    return None


def is_picture(data: bytes) -> bool:
    """Whether bytes begin as an image does that can be decoded."""
    try:
        with open_image(data) as image:
            return min(image.size) > 0
    except UserError:
        return False


def listed_under(task: Task, record: Record) -> str:
    """The line of its task's breakdown that an item belongs to.

    By number (counting), word (vocabulary), direction (delayed response), quadrant
    (localisation) or what differs between two phrases; "" where there is none, and in
    memory, whose lines are the rounds.
    """
    if task.breakdown == WORD:
        return str(record.meta.get("word", ""))
    if task.breakdown == DIFFERENCE:
        return str(record.meta.get("difference", ""))
    question = questions_of(record)[0]
    said = question.says(question.answer)
    known = {QUADRANT: QUADRANTS, DIRECTION: RING}
    if task.breakdown in known:
        return said if said in known[task.breakdown] else ""
    return said if task.breakdown == NUMBER else ""
