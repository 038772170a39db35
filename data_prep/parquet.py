"""Shards -> Parquet files as Hugging Face `datasets` writes and reads them.

  # every split of a dataset, as a folder that `load_dataset` opens
  python -m data_prep.parquet shards --name=image_utterance --out=export

  # and back
  python -m data_prep.llava_json --parquet='export/train-*.parquet' \\
      --name=image_utterance --max-side=0 --out=other_shards --split=train

Columns: id, source, images (bytes and path), conversations (from, value), meta (JSON).
Files are SPLIT-00000-of-00002.parquet; a split appears whole or not at all. Exit codes:
0 finished, 78 bad input.
"""

import argparse
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from babyvlm_jax.data.schema import HUMAN, Record, RecordSource
from babyvlm_jax.data.shards import splits_of
from babyvlm_jax.runtime.errors import UserError, add_command_flags, run_main
from data_prep.importing.flags import command_parser

FILE_BYTES = 500 * 10**6  # of a file at most, and
GROUP_ROWS = 100  # of a row group: what `datasets` does with pictures

_TEXT = {"dtype": "string", "_type": "Value"}
_FEATURES = {
    "id": _TEXT,
    "source": _TEXT,
    "images": [{"_type": "Image"}],
    "conversations": [{"from": _TEXT, "value": _TEXT}],
    "meta": _TEXT,
}
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("source", pa.string()),
        (
            "images",
            pa.list_(pa.struct([("bytes", pa.binary()), ("path", pa.string())])),
        ),
        (
            "conversations",
            pa.list_(pa.struct([("from", pa.string()), ("value", pa.string())])),
        ),
        ("meta", pa.string()),
    ],
    metadata={"huggingface": json.dumps({"info": {"features": _FEATURES}})},
)


def row(record: Record) -> dict[str, Any]:
    """A record as a row; its images have no path."""
    return {
        "id": record.id,
        "source": record.source,
        "images": [{"bytes": picture, "path": None} for picture in record.images],
        "conversations": [
            {"from": "human" if role == HUMAN else "gpt", "value": text}
            for role, text in record.turns
        ],
        "meta": json.dumps(record.meta, sort_keys=True),
    }


def export_split(records: Iterable[Record], out: Path, split: str) -> list[Path]:
    """Writes the Parquet files of a split, all of them or none.

    Args:
        records: of the split, in the order of the rows.
        out: folder, made if absent.
        split: what the files are called.

    Returns:
        The files.

    Raises:
        UserError: the folder contains files of the split.
    """
    if there := sorted(out.glob(f"{split}-*-of-*.parquet")):
        raise UserError(
            f"{there[0]} is already there; delete the split's files or choose another "
            "--out"
        )
    out.mkdir(parents=True, exist_ok=True)
    part = out / f".{split}.{os.getpid()}"
    part.mkdir()
    try:
        count = _write_files(records, part)
        files = [
            out / f"{split}-{number:05d}-of-{count:05d}.parquet"
            for number in range(count)
        ]
        for number, file in enumerate(files):
            os.replace(part / str(number), file)
    finally:
        shutil.rmtree(part)
    return files


def _write_files(records, part) -> int:
    groups = _groups(records)
    group, count = next(groups, None), 0
    while group is not None:
        size = 0
        with pq.ParquetWriter(part / str(count), SCHEMA) as writer:
            while group is not None and size < FILE_BYTES:
                table = pa.Table.from_pylist(group, SCHEMA)
                writer.write_table(table)
                size += table.nbytes
                group = next(groups, None)
        count += 1
    return count


def _groups(records) -> Iterator[list[dict[str, Any]]]:
    group = []
    for record in records:
        group.append(row(record))
        if len(group) == GROUP_ROWS:
            yield group
            group = []
    if group:
        yield group


def _export(args: argparse.Namespace) -> None:
    known = splits_of(args.shards, args.name)
    wanted = args.split or sorted(known)
    for split in wanted:
        source = RecordSource(args.shards, args.name, split)
        bar = tqdm(source, f"{args.name}/{split}", unit="record")
        files = export_split(bar, Path(args.out), split)
        print(f"{args.name}/{split}: {len(source):,} records in {len(files)} files")
    if not wanted:
        raise UserError(f"no dataset {args.name!r} in {args.shards}")


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command."""
    top = command_parser("data_prep.parquet", __doc__)
    top.add_argument("shards", metavar="SHARDS", help="folder of the datasets")
    top.add_argument("--name", required=True, help="the dataset")
    top.add_argument("--out", required=True, metavar="DIR", help="folder of the files")
    top.add_argument("--split", action="append", help="default: every split")
    add_command_flags(top)
    args = top.parse_args(argv)
    run_main(lambda: _export(args), args.debug)


if __name__ == "__main__":
    main()
