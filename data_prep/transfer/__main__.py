"""A general-purpose corpus of captions made into one for a small child (BabyVLM V1).

  # 1. captions -> what a caregiver would say, and which pairs to keep
  python -m data_prep.transfer rewrite shards --name=llava_pretrain \\
      --target=shards --out=runs/transfer
  # 2. for each pair of your corpus the kept image that is most like it
  python -m data_prep.transfer match runs/transfer --target=shards \\
      --embedder=clip@runs/clip
  # 3. datasets to train on
  python -m data_prep.transfer write runs/transfer --out=shards

--help after a command prints its flags and examples.
"""

from collections.abc import Sequence

from data_prep.importing.flags import run_commands
from data_prep.transfer import match, rewrite, write


def main(argv: Sequence[str] | None = None) -> None:
    """Runs one command."""
    run_commands("data_prep.transfer", __doc__, (rewrite, match, write), argv)


if __name__ == "__main__":
    main()
