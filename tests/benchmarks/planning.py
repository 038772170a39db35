"""How long it takes, and how much memory, to plan an epoch of the published mixture.

python -m tests.benchmarks.planning
python -m tests.benchmarks.planning --records=100000
"""

import argparse
import resource
import time

from babyvlm_jax.data.packing import Capacity, plan
from tests.benchmarks import v2_mixture

CAPACITIES = (Capacity(2048, 10), Capacity(4096, 20), Capacity(8192, 41))


def table(num_records: int, capacities=CAPACITIES) -> list[str]:
    """Lines of the table: a plan of `num_records` for each capacity."""
    lengths = v2_mixture.lengths(num_records)
    lines = [
        f"{num_records:,} records, {lengths[:, 0].mean():.0f} tokens and "
        f"{lengths[:, 1].mean():.1f} pictures each\n",
        "| T | M | rows | tokens in use | seconds | peak memory of the process |",
        "|---|---|---|---|---|---|",
    ]
    for capacity in capacities:
        begin = time.process_time()
        made = plan(lengths, capacity, seed=0, epoch=0)
        seconds = time.process_time() - begin
        # kilobytes on Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        lines.append(
            f"| {capacity.tokens} | {capacity.images} | {len(made.rows):,} | "
            f"{made.fill_tokens:.1%} | {seconds:.1f} | {peak:.0f} MiB |"
        )
    return lines


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.planning",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--records", type=int, default=1_000_000)
    print("\n".join(table(parser.parse_args().records)))


if __name__ == "__main__":
    main()
