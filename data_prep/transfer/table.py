"""Tables that the steps of a transfer hand on: Parquet files that appear whole."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet as pq

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError, raise_system_fault


def write_table(path: Path, columns: Mapping[str, Sequence]) -> None:
    """Writes named columns of one length, whole or not at all."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        pq.write_table(pyarrow.table(dict(columns)), beside)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def read_table(path: Path, columns: Sequence[str]) -> dict[str, list[Any]]:
    """Reads some columns, in the order in which they are asked for.

    Raises:
        UserError: there is no such file or column.
    """
    try:
        found = pq.read_table(path, columns=list(columns)).to_pydict()
        return {column: found[column] for column in columns}
    except (OSError, KeyError, pyarrow.ArrowException) as error:
        raise_system_fault(error, path, about_file=True)
        why = " ".join(str(error).split())[:200]
        raise UserError(f"{path} cannot be read ({why}); make it again") from None


def open_corpus(facts: Mapping[str, str], shards: str | None) -> RecordSource:
    """The split that an earlier step read.

    Args:
        facts: its shards, name, split and fingerprint.
        shards: the folder where it is now; None if it has not moved.

    Raises:
        UserError: it is not there, or has changed.
    """
    source = RecordSource(shards or facts["shards"], facts["name"], facts["split"])
    if source.renewed(facts["fingerprint"]) != source.fingerprint:
        raise UserError(
            f"{source.name}/{source.split} in {source.shards} has changed since the "
            "captions were rewritten; rewrite them again into another folder"
        )
    return source


def corpus_facts(source: RecordSource) -> dict[str, str]:
    """What `open_corpus` needs to find a split again."""
    return {
        "shards": os.path.abspath(source.shards),
        "name": source.name,
        "split": source.split,
        "fingerprint": source.fingerprint,
    }
