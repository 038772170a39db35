"""The summary of benchmark items in a folder: their settings, and what is done."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyvlm_jax.errors import UserError
from data_prep.fields import read_json
from data_prep.jobs import difference, make_folder, write_json


def open_summary(
    path: Path, benchmark: str, folders: str, fresh: Mapping[str, Any]
) -> dict[str, Any]:
    """The summary that is there, or a fresh one, written before any dataset is.

    Args:
        path: of the summary, in the folder of the datasets.
        benchmark: its name, for messages.
        folders: pattern of its datasets there.
        fresh: the summary of a build that has made nothing; its `settings` are those
            that the items must have.

    Raises:
        UserError: the folder holds items of other settings, or of nobody knows which.
    """
    out = path.parent
    if path.exists():
        summary = read_json(path)
        if differs := difference(summary["settings"], fresh["settings"]):
            raise UserError(
                f"{out} holds {benchmark} items of other settings: {differs}; choose "
                f"another --out, or delete {out}/{folders}"
            )
        return summary
    strangers = sorted(out.glob(f"{folders}/*"))
    if strangers:
        raise UserError(
            f"{strangers[0].parent} is there but {path} is not, so it was imported or "
            f"nobody knows its settings; choose another --out, or delete "
            f"{out}/{folders}"
        )
    make_folder(out, f"--out={out}")
    write_json(path, fresh)
    return dict(fresh)
