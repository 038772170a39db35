"""What a build keeps on disk while it runs, so that a killed one goes on.

`OUT/.build/identity.json` says what is being built; each prepared recording leaves
`NAME.records` (pickle, ours alone) and then `NAME.json` (its report). The summary,
written last, marks a finished build.
"""

import dataclasses
import pickle
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from babyvlm_jax.data.schema import Record, dataset_dir
from babyvlm_jax.errors import UserError
from data_prep.fields import read_json
from data_prep.jobs import difference, make_folder, write_json, write_whole
from data_prep.stages.pairing import DATASETS
from data_prep.stages.recording import Report

SUMMARY = "build_summary.json"


class Store:
    """The unfinished build in one output folder."""

    def __init__(self, out: str | Path):
        self.out = Path(out)
        self.folder = self.out / ".build"

    def open(self, identity: Mapping[str, Any]) -> bool:
        """Begins the build `identity`, or goes on with it.

        Returns:
            Whether it was already finished.

        Raises:
            UserError: the folder holds another build, or datasets of none.
        """
        summary, marker = self.out / SUMMARY, self.folder / "identity.json"
        if summary.exists():
            self._expect_same(read_json(summary)["identity"], identity)
            self.close()
            return True
        if marker.exists():
            self._expect_same(read_json(marker), identity)
            return False
        foreign = [name for name in DATASETS if dataset_dir(self.out, name).exists()]
        if foreign:
            raise UserError(
                f"{self.out} holds datasets of an unknown build ({', '.join(foreign)});"
                " delete them or choose another --config.out"
            )
        make_folder(self.folder, f"--config.out={self.out}")
        write_json(marker, identity)
        return False

    def _expect_same(self, there, wanted):
        if differs := difference(there, wanted):
            raise UserError(
                f"{self.out} holds a build that differs in {differs}; choose another "
                "--config.out or delete the folder"
            )

    def save(self, records: Mapping[str, Sequence[Record]], report: Report) -> None:
        """Keeps a prepared recording."""
        name = report.recording
        write_whole(self.folder / f"{name}.records", pickle.dumps(dict(records)))
        write_json(self.folder / f"{name}.json", dataclasses.asdict(report))

    def report(self, recording: str) -> Report | None:
        """The report of a recording, None if it is not prepared yet."""
        path = self.folder / f"{recording}.json"
        return Report(**read_json(path)) if path.exists() else None

    def records(self, recordings: Sequence[str], dataset: str) -> Iterator[Record]:
        """All records of one dataset, recording by recording."""
        for recording in recordings:
            path = self.folder / f"{recording}.records"
            yield from pickle.loads(path.read_bytes())[dataset]

    def close(self) -> None:
        """Removes what only an unfinished build needs."""
        shutil.rmtree(self.folder, ignore_errors=True)
        for name in DATASETS:
            for left in (self.out / name).glob("*.incomplete*"):
                shutil.rmtree(left, ignore_errors=True)
