"""The benchmarks of BabyVLM V1: imports the published items, or builds others.

  python -m data_prep.v1bench import --csv vtwt.csv --images frames --out=shards
  python -m data_prep.v1bench build --raw=runs/demo/raw --out=runs/demo/shards

Each command tells its flags and examples with --help.
"""

from collections.abc import Sequence

from data_prep.importing.flags import run_commands
from data_prep.v1bench import build_command, import_command

COMMANDS = (import_command, build_command)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command."""
    run_commands("data_prep.v1bench", __doc__, COMMANDS, argv)


if __name__ == "__main__":
    main()
