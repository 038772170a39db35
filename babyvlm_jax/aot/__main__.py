"""Compiles a whole table of runs and slices, and prints it.

    python -m babyvlm_jax.aot --config=configs/tpu.py --workdir=runs/tpu

Each line is a `compile_check` in a process of its own and leaves a file in
`WORKDIR/rows/`; run the command again and it goes on where it was stopped. The table is
printed and written to `WORKDIR/table.md`. Exit code 78 when a line does not fit.
"""

import hashlib
import json
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import tqdm
from etils import epy

from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError

with epy.lazy_imports():  # --help needs none of these, and they take seconds
    from babyvlm_jax.aot import check, printing


def main(config, workdir: str) -> None:
    folder = pathlib.Path(workdir)
    (folder / "rows").mkdir(parents=True, exist_ok=True)
    found, failed = [], []
    with tqdm.tqdm(config.rows, unit="row", mininterval=0) as bar:
        for row in bar:
            bar.set_postfix_str(f"{row['topology']} {row['config']}")
            result, words = compile_row(row, folder / "rows")
            found += [result] if result else []
            if words:
                failed.append(words)
                bar.write(words)
    text = printing.table(found) + "\n"
    (folder / "table.md").write_text(text)
    print(text, end="")
    if failed:
        raise UserError(f"{len(failed)} of {len(config.rows)} rows failed; see above")


def compile_row(row: Mapping[str, Any], folder: pathlib.Path):
    """Compiles a row unless it is there.

    Args:
        row: topology, slices, config, what, changes ("mesh.data=2", ...).

    Returns:
        The check, or None where there is none; what went wrong, or "".
    """
    flags = arguments(row)
    digest = hashlib.sha256(json.dumps(flags).encode()).hexdigest()[:8]
    path = folder / f"{row['topology'].replace(':', '-')}_{digest}.json"
    if not path.exists():
        command = [sys.executable, "-m", "babyvlm_jax.compile_check", *flags]
        done = subprocess.run(
            [*command, f"--out={path}"], capture_output=True, text=True
        )
        if not path.exists():
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return None, f"{' '.join(flags)}: {last}"
    result = check.read_json(path)
    return result, "" if result.fits else f"{' '.join(flags)}: does not fit"


def arguments(row: Mapping[str, Any]) -> Sequence[str]:
    """Flags of `compile_check` for a row."""
    flags = [f"--config={row['config']}", f"--topology={row['topology']}"]
    flags += [f"--slices={row['slices']}", f"--what={row['what']}"]
    return [*flags, *(f"--config.{change}" for change in row["changes"])]


if __name__ == "__main__":
    run_config_command(__doc__, main)
