"""Datasets -> the layout of released sets, so that other tools can run the items.

`DIR/TASK_SPLIT.json` beside `DIR/images/`, as the public set has it; `import` reads it
back to the same turns and pictures.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from babyvlm_jax.data.schema import HUMAN, Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv.names import dataset_name
from data_prep.jobs import write_whole

# Released names of the fields that have one; all others go into `meta`.
FIELDS = {"labels": "labels", "bbox": "bb", "numbers": "notes"}
_MADE_AGAIN = "rounds"  # by whoever imports the turns
_SUFFIXES = {b"\xff\xd8": "jpeg", b"\x89P": "png", b"RI": "webp"}


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
    try:
        (out / "images").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"--json={out}: cannot be written ({error.strerror})") from None
    total = sum(count for _, _, count in wanted)
    with tqdm(total=total, desc="write released layout", unit="item") as bar:
        for task, split, _ in wanted:
            items = []
            source = RecordSource(shards, dataset_name(task), split)
            for number, record in enumerate(_in_order(source)):
                stem = f"{task}_{split}_{number:05d}"
                items.append(released(record, _write_images(record, out, stem)))
                bar.update()
            text = json.dumps(items, indent=1) + "\n"
            write_whole(out / f"{task}_{split}.json", text.encode())
    return total


def _in_order(source: RecordSource):
    """Records in the order of their ids; shards are shuffled."""
    order = sorted((source[i].id, i) for i in range(len(source)))
    return (source[i] for _, i in order)


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
    return {
        "id": record.id,
        "conversations": [
            {"from": "human" if role == HUMAN else "gpt", "value": text}
            for role, text in record.turns
        ],
        "image": paths,
        **_fields(record.meta),
    }


def _fields(meta: Mapping[str, Any]) -> dict[str, Any]:
    named = {FIELDS[key]: value for key, value in meta.items() if key in FIELDS}
    return {
        **named,
        "meta": {k: v for k, v in meta.items() if k not in (*FIELDS, _MADE_AGAIN)},
    }
