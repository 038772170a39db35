"""Items in the layout of released DevCV sets <-> records.

Turns and images stay as they are in both directions. Known from the prompt and put into
the meta: the answer, the noun or word, the labels of a memory item that brings none.
Every field that is not known here is kept in the meta under its own name. Written are
`DIR/TASK_SPLIT.json` beside `DIR/images/`, as the public set has it.
"""

import dataclasses
import itertools
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.questions import (
    DIRECTION,
    NUMBER,
    TEXT,
    Question,
    parse_turns,
    recording_of,
)
from babyvlm_jax.data.schema import HUMAN, IMAGE_MARK, Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from data_prep.devcv.tasks import TASKS, dataset_name
from data_prep.importing.reading import Refusal
from data_prep.importing.records import Llava
from data_prep.jobs import make_folder, write_whole

_NOUNS = (
    re.compile(r"Touch the image of '(.+?)'"),
    re.compile(r"How many (?:of )?(.+?) do you see"),
    re.compile(r"has more (?:of )?(.+?)\?"),
    re.compile(r"Point at the (.+?)\."),
    re.compile(r"\bdo(?:es)? the (.+?) (?:collectively )?leave"),
)
# Released names of the fields that have one; all others go into `meta`.
FIELDS = {"labels": "labels", "bbox": "bb", "numbers": "notes"}
_MADE_AGAIN = "rounds"  # by whoever imports the turns
_SUFFIXES = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"RI": "webp"}


@dataclasses.dataclass(frozen=True)
class Released:
    """How to make records; see `importing.batches.Converter`.

    Attributes:
        folder: that the pictures' paths are relative to, absolute, no symbolic links.
        task: ours.
        corpus: what the set is made of, "" if nobody says.
        is_train: the items are instructions, not the benchmark.
        keep_unanswerable: items whose right picture is also a wrong one are kept.
        rename_repeated: always; released sets use an id for several items.
    """

    folder: Path
    task: str
    corpus: str
    is_train: bool
    keep_unanswerable: bool
    rename_repeated: bool = True

    @property
    def _llava(self) -> Llava:
        kind = "instruction" if self.is_train else "eval"
        return Llava(self.folder, 0, f"{kind}/{self.task}", self.task, True)

    def id(self, raw: Any, number: int) -> str:
        """The item's own id, or its number in the file."""
        return self._llava.id(raw, number)

    def unused(self, raw: Any) -> Sequence[str]:
        """Names of the item's fields that its meta cannot hold."""
        return self._llava.unused(raw)

    def record(self, raw: Any, record_id: str) -> Record:
        """The record of one item.

        Raises:
            Refusal: the item cannot be used.
        """
        if isinstance(raw, Mapping):
            raw = self._prepared(raw)
        record = self._llava.record(raw, record_id)
        rounds = parse_turns(record.turns)
        if not rounds:
            raise Refusal("no_turns", "no question")
        if TASKS[self.task].is_dialogue and len(rounds) == 1:
            raise Refusal("too_few_rounds", "one round")
        for number, one in enumerate(rounds):
            self._expect_usable(one, number, record.images)
        return dataclasses.replace(record, meta=self._meta(record, rounds))

    def _prepared(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """With image marks, and with paths that lead to a file where there is one."""
        raw = dict(raw)
        if "image" not in raw and "images" not in raw and "video" in raw:
            raw["image"] = raw.pop("video")
        given = raw.get("image", raw.get("images"))
        if isinstance(given, str | list):
            files = given if isinstance(given, list) else [given]
            raw.pop("images", None)
            raw["image"] = [self._found(file) for file in files]
            raw["conversations"] = with_marks(raw.get("conversations"), len(files))
        return raw

    def _found(self, file: Any) -> Any:
        """The path, or the same below `images/` if the file is only there."""
        if not isinstance(file, str) or "\0" in file:
            return file
        inside = f"images/{file}"
        is_there = (self.folder / file).exists() or not (self.folder / inside).exists()
        return file if is_there else inside

    def _expect_usable(
        self, one: Question, number: int, images: Sequence[bytes]
    ) -> None:
        where = f"question {number}: {one.prompt[-60:]!r}"
        facts, is_number = TASKS[self.task].facts, one.kind == NUMBER
        if one.kind == TEXT or (is_number and facts.answer != NUMBER):
            raise Refusal("no_choices", where)
        if one.fault:
            raise Refusal(one.fault, where)
        if is_number and not 0 < int(one.answer) <= facts.largest_number:
            raise Refusal("not_offered", f"{where}: {one.answer}")
        if self.keep_unanswerable or one.gold is None or not one.options:
            return
        shown = [images[i] for i in one.options]
        if shown.count(shown[one.gold]) > 1:
            raise Refusal("identical_options", where)

    def _meta(self, record: Record, rounds: Sequence[Question]) -> dict[str, Any]:
        task = TASKS[self.task]
        told = {task.word_field: noun_of(rounds[0].prompt)}
        if task.facts.answer == NUMBER and rounds[0].kind == NUMBER:
            told["number"] = int(rounds[0].answer)
        if task.facts.answer == DIRECTION:
            told["direction"] = rounds[0].says(rounds[0].answer)
        if recording := recording_of(record.id):
            told["recordings"] = [recording]
        told = {key: value for key, value in told.items() if value is not None}
        ours = {
            "task": self.task,
            "corpus": self.corpus,
            "answer": " ".join(one.answer for one in rounds),
            "rounds": [one.entry() for one in rounds],
        }
        if task.is_dialogue:
            labels = labels_as_given(record.meta.get("labels"), rounds)
            ours["labels_from"] = "bytes" if labels is None else "file"
            ours["labels"] = labels or labels_by_bytes(rounds, record.images)
        theirs = {
            f"{key}_given" if value != ours.get(key, value) else key: value
            for key, value in record.meta.items()
        }
        return {**told, **theirs, **ours}


def noun_of(prompt: str) -> str | None:
    """The thing that a prompt names, None where it names none.

    noun_of("<image> How many of cup do you see?") -> "cup"
    """
    found = (pattern.search(prompt) for pattern in _NOUNS)
    return next((one[1] for one in found if one), None)


def with_marks(conversations: Any, num_images: int) -> Any:
    """Puts the pictures before the first question if no turn says where they belong.

    Source: BabyVLM-V2, the leaderboard's model wrapper.
    """
    if not isinstance(conversations, list) or not all(
        isinstance(turn, Mapping) and isinstance(turn.get("value"), str)
        for turn in conversations
    ):
        return conversations
    if not conversations or any(IMAGE_MARK in turn["value"] for turn in conversations):
        return conversations
    first, *rest = conversations
    value = f"{IMAGE_MARK * num_images}\n{first['value']}"
    return [{**first, "value": value}, *rest]


def labels_as_given(given: Any, rounds: Sequence[Question]) -> list[list[str]] | None:
    """The names of the pictures of each round, None where the file's do not fit.

    Args:
        given: a list for each round, or one flat list with a name for each picture.
        rounds: of a memory item.
    """
    sizes = [len(one.options) for one in rounds]
    if not isinstance(given, list):
        return None
    if len(given) == sum(sizes) and all(isinstance(name, str) for name in given):
        names = iter(given)
        return [[next(names) for _ in range(size)] for size in sizes]
    found = [[one] if isinstance(one, str) else one for one in given]
    fits = [len(one) if isinstance(one, list) else -1 for one in found] == sizes
    if not fits or not all(isinstance(name, str) for one in found for name in one):
        return None
    return found


def labels_by_bytes(
    rounds: Sequence[Question], images: Sequence[bytes]
) -> list[list[str]]:
    """Names pictures in order of appearance; files with the same bytes share one."""
    shown = [[images[i] for i in one.options] for one in rounds]
    files = dict.fromkeys(itertools.chain.from_iterable(shown))
    names = {file: f"picture_{number}" for number, file in enumerate(files)}
    return [[names[image] for image in one] for one in shown]


def export(shards: Path, out: Path, tasks: tuple[str, ...]) -> int:
    """Writes every split of some tasks; what is there already is written anew.

    Args:
        shards: folder of the datasets.
        out: folder of the JSON files and of `images/`.
        tasks: those without a dataset are passed over.

    Returns:
        The number of items.

    Raises:
        UserError: `out` cannot be written.
    """
    wanted = [
        (task, split, count)
        for task in tasks
        for split, count in splits_of(shards, dataset_name(task)).items()
    ]
    make_folder(out / "images", f"--json={out}")
    total = sum(count for _, _, count in wanted)
    with tqdm(total=total, desc="write released layout", unit="item") as bar:
        for task, split, _ in wanted:
            items = []
            source = RecordSource(shards, dataset_name(task), split)
            order = sorted((source[i].id, i) for i in range(len(source)))
            for number, (_, i) in enumerate(order):  # by id: shards are shuffled
                stem = f"{task}_{split}_{number:05d}"
                items.append(released(source[i], _write_images(source[i], out, stem)))
                bar.update()
            text = json.dumps(items, indent=1) + "\n"
            write_whole(out / f"{task}_{split}.json", text.encode())
    return total


def _write_images(record: Record, out: Path, stem: str) -> list[str]:
    paths = []
    for number, image in enumerate(record.images):
        suffix = _SUFFIXES.get(image[:2], "jpeg")
        paths.append(f"images/{stem}_{number}.{suffix}")
        write_whole(out / paths[-1], image)
    return paths


def released(record: Record, paths: list[str]) -> dict[str, Any]:
    """One item as released sets have it.

    Args:
        record: the item.
        paths: of its pictures.
    """
    meta = record.meta.items()
    return {
        "id": record.id,
        "conversations": [
            {"from": "human" if role == HUMAN else "gpt", "value": text}
            for role, text in record.turns
        ],
        "image": paths,
        **{FIELDS[key]: value for key, value in meta if key in FIELDS},
        "meta": {k: v for k, v in meta if k not in (*FIELDS, _MADE_AGAIN)},
    }
