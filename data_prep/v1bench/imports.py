"""One CSV file of a test, and the folders of its pictures -> a dataset.

The pictures stay the files that they are. What is imported, and which rows were not and
why, is in `OUT/imports/v1_TASK-test.json`.
"""

import collections
import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.schema import IMAGE_MARK, Record, dataset_dir, write_dataset
from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.json_fields import read_json
from data_prep.importing.pictures import checked_picture, read_picture
from data_prep.importing.reading import REASONS, Refusal
from data_prep.jobs import FOLDER, make_folder, write_json
from data_prep.v1bench import csvs, records
from data_prep.v1bench.csvs import Item

SPLIT = "test"
# VIDEO_UTTERANCE_FRAME.jpg, and the same with _neg for a picture made from it
_FRAME = re.compile(r"(?P<video>.+)_\d{3,}_\d{2,}(?:_neg)?")


def summary_path(out: Path, task: str) -> Path:
    """Where it is said what an import did."""
    return out / "imports" / f"{records.dataset_name(task)}-{SPLIT}.json"


def import_csv(
    path: Path,
    roots: Sequence[Path],
    out: Path,
    words: Mapping[str, str],
    strict: bool,
) -> dict[str, Any]:
    """Imports a file; does nothing if that has been done.

    Args:
        path: the CSV file.
        roots: folders of pictures; a path is looked up in each, in order.
        out: folder of the datasets.
        words: word of Labeled-S -> what is asked for instead.
        strict: the first item that cannot be used ends the import.

    Returns:
        The summary, as `importing.tell` prints it.

    Raises:
        UserError: the file or a folder cannot be read, no item can be used, the
            dataset is there and was made from something else, or another process is
            making it.
    """
    for root in roots:
        if not root.is_dir():
            raise UserError(f"--images={root}: no such folder")
    task, items = csvs.read_items(path)
    name = records.dataset_name(task)
    make_folder(out / FOLDER, f"--out={out}")
    with lock.held(out / FOLDER, f"{name}-{SPLIT}.lock"):
        return _import(path, task, items, roots, out, words, strict)


def _import(path, task, items, roots, out, words, strict) -> dict[str, Any]:
    name = records.dataset_name(task)
    identity = {
        "csv": hashlib.sha256(path.read_bytes()).hexdigest(),
        "images": [os.path.realpath(root) for root in roots],
        "words": dict(words) if task == records.LABELED_S else {},
    }
    kept = summary_path(out, task)
    if dataset_dir(out, name).exists():
        return _expect_same(out / name, kept, identity, strict)
    made, skipped = _convert(path, task, items, roots, words, strict)
    summary = {
        "dataset": name,
        "split": SPLIT,
        "identity": identity,
        "sources": {f"eval/{task}": _count(made)},
        "reasons": collections.Counter(one["reason"] for one in skipped),
        "skipped": skipped,
    }
    make_folder(kept.parent, f"--out={out}")
    # first: a dataset without it would be nobody's, and it alone is no dataset
    write_json(kept, summary)
    write_dataset(
        out,
        name,
        {SPLIT: made},
        f"BabyVLM V1, {records.TITLES[task]} Imported by data_prep.v1bench.",
    )
    return summary


def _expect_same(folder, kept, identity, strict):
    done = read_json(kept) if kept.exists() else {"identity": None, "skipped": []}
    if done["identity"] != identity:
        raise UserError(
            f"{folder} is there and was made from something else than this file, these "
            f"folders and words; choose another --out, or delete {folder}"
        )
    if strict and done["skipped"]:
        raise UserError(_told(done["skipped"][0]))
    return done


def _convert(path, task, items, roots, words, strict):
    made, skipped = [], []
    real = [Path(os.path.realpath(root)) for root in roots]
    for item in tqdm(items, desc=records.dataset_name(task), unit="item"):
        try:
            csvs.check(task, item)
            made.append(_record(task, item, real, words))
        except Refusal as refusal:
            skipped.append(
                {
                    "file": path.name,
                    "number": item.line,
                    "id": item.name,
                    "reason": refusal.reason,
                    "detail": refusal.detail,
                }
            )
            if strict:
                raise UserError(_told(skipped[0])) from None
    if not made:
        why = f"; the first: {_told(skipped[0])}" if skipped else ""
        raise UserError(f"{path}: none of its {len(items)} items can be used{why}")
    return made, skipped


def _told(one: Mapping[str, Any]) -> str:
    return (
        f"{one['file']}, line {one['number']} ({one['id']}): {one['reason']}, "
        f"{REASONS[one['reason']]} ({one['detail']})"
    )


def _record(task: str, item: Item, roots, words) -> Record:
    rows = list(item.rows)
    if task == records.WINOGROUND:
        rows.sort(key=lambda row: row["image_tag"] != csvs.POSITIVE)
    images = [_picture(roots, row["image"]) for row in rows]
    first = rows[0]
    meta = {"files": [row["image"] for row in rows]}
    videos = {_video(row["image"]) for row in rows} - {None}
    if videos:
        meta["recordings"] = sorted(videos)
    if task == records.LABELED_S:
        shown = [row["real_category"] for row in rows]
        word = first["target_category"]
        right = shown.index(word)
        if images.count(images[right]) > 1:
            raise Refusal("identical_options", rows[right]["image"])
        asked = words.get(word, word)
        return records.labeled_s(item.name, asked, images, shown, right, meta)
    if task == records.CAPTION:
        return records.caption(item.name, images[0], first["text"], meta)
    phrases = [first["positive_phrase"], first["negative_phrase"]]
    if task == records.TWO_WORD:
        return records.two_word(item.name, images[0], *phrases, meta)
    return records.winoground(item.name, images, phrases, meta)


def _picture(roots: Sequence[Path], name: str) -> bytes:
    """The file in the first of the folders that has it."""
    refusals = []
    for root in roots:
        try:
            return checked_picture(read_picture(root, name), 0, name)
        except Refusal as refusal:
            if refusal.reason != "missing_image":
                raise
            refusals.append(refusal)
    raise refusals[0]


def _video(file: str) -> str | None:
    """S_20130901_1015_04_229_14.jpg -> S_20130901_1015_04."""
    found = _FRAME.fullmatch(Path(file).stem)
    return found["video"] if found else None


def _count(made: Sequence[Record]) -> dict[str, int]:
    texts = [text for record in made for _, text in record.turns]
    return {
        "records": len(made),
        "images": sum(len(record.images) for record in made),
        "turns": len(texts),
        "words": sum(len(text.replace(IMAGE_MARK, " ").split()) for text in texts),
    }
