"""DevCV items (BabyVLM-V2): builds, imports and audits the sets of the benchmark.

  python -m data_prep.devcv build --raw=runs/demo/raw --out=shards --size=demo
  python -m data_prep.devcv import --from=devcv_ego4d --out=shards --source=ego4d
  python -m data_prep.devcv audit shards

Each command tells its flags and examples with --help.
"""

from collections.abc import Sequence

from data_prep.devcv import audit, build, imports
from data_prep.importing.flags import run_commands

COMMANDS = (build, imports, audit)


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command."""
    run_commands("data_prep.devcv", __doc__, COMMANDS, argv)


if __name__ == "__main__":
    main()
