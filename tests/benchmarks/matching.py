"""How long a one-to-one matching takes, how much memory, and how good it is.

python -m tests.benchmarks.matching
python -m tests.benchmarks.matching --targets=6000 --candidates=20000 --exact

The embeddings are made up, with the structure of a filtered recording and a web corpus:
all share a direction, as CLIP's do; targets come in scenes of many similar frames, the
candidates in many more groups, of which some are those of the scenes.
"""

import argparse
import dataclasses
import resource
import time

import numpy as np

from data_prep.transfer.assignment import PASSES, WIDEST, K, Limits, exact, sparse
from data_prep.transfer.match import compare

SHARES = (0.5, 0.3, 0.2)  # of the squared norm: common direction, group, the picture's
SCENE = 30  # frames of a scene on average
GROUPS = 4000
SEED = 0


def world(
    num_targets: int, num_candidates: int, width: int
) -> tuple[np.ndarray, np.ndarray]:
    """f32[N, D] targets and f32[M, D] candidates of unit norm."""
    rng = np.random.default_rng(SEED)
    common, *groups = _unit(rng.normal(size=(1 + GROUPS, width)).astype(np.float32))
    groups = np.stack(groups)
    scenes = max(1, num_targets // SCENE)
    # frequencies fall off, as those of things do
    weights = 1 / np.arange(1, scenes + 1)
    of_targets = rng.choice(scenes, num_targets, p=weights / weights.sum()) % GROUPS
    of_candidates = rng.choice(GROUPS, num_candidates)
    return tuple(
        _pictures(rng, common, groups, of, width) for of in (of_targets, of_candidates)
    )


def _pictures(rng, common, groups, of, width):
    own = _unit(rng.normal(size=(len(of), width)).astype(np.float32))
    parts = [np.sqrt(share) for share in SHARES]
    return _unit(parts[0] * common + parts[1] * groups[of] + parts[2] * own)


def _unit(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


@dataclasses.dataclass(frozen=True)
class _Comparison:
    """What `match.compare` requires."""

    limits: Limits
    subsample: int
    seed: int


def table(args: argparse.Namespace) -> list[str]:
    """Lines of a Markdown table, and what the matching is worth."""
    targets, candidates = world(args.targets, args.candidates, args.width)
    lines = [
        f"{args.targets:,} targets, {args.candidates:,} candidates, "
        f"width {args.width}\n",
        "| method | CPU seconds | peak memory | mean distance | bound | random | "
        "edges, open in each pass |",
        "|---|---|---|---|---|---|---|",
    ]
    limits = Limits(k=args.k, widest=args.widest, passes=args.passes)
    methods = {f"sparse, k = {args.k}": lambda: sparse(targets, candidates, limits)}
    if args.exact:
        methods["exact"] = lambda: exact(targets, candidates)
    for name, solve in methods.items():
        begin = time.process_time()
        found = solve()
        seconds = time.process_time() - begin
        # kilobytes on Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        settings = _Comparison(limits, args.subsample, SEED)
        worth = compare(targets, candidates, found, settings)
        lines.append(
            f"| {name} | {seconds:.0f} | {peak:.2f} GiB | {worth['distance']:.4f} | "
            f"{worth['bound']:.4f} | {worth['random']:.4f} | "
            + "; ".join(f"{p['edges']:,}, {p['open']:,}" for p in found.passes)
            + " |"
        )
    lines.append(f"\nsubsample: {worth['subsample']}")
    return lines


def main() -> None:
    """Command line of the benchmark."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks.matching",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--targets", type=int, default=60_000)
    parser.add_argument("--candidates", type=int, default=200_000)
    parser.add_argument("--width", type=int, default=512)
    parser.add_argument("--k", type=int, default=K)
    parser.add_argument("--widest", type=int, default=WIDEST)
    parser.add_argument("--passes", type=int, default=PASSES)
    parser.add_argument("--subsample", type=int, default=1000)
    parser.add_argument("--exact", action="store_true", help="the optimum beside it")
    print("\n".join(table(parser.parse_args())))


if __name__ == "__main__":
    main()
