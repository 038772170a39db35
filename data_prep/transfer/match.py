"""Step 2: for each pair of the target corpus, its own most similar kept image.

The folder of a transfer gets `matches.parquet` (number and id of the target, number and
id of the candidate, cosine distance) and then `match.json`: what was matched, how, and
how good it is beside chance and beside the best possible.

Source: BabyVLM V1, Hungarian matching of CLIP image embeddings.
"""

import argparse
import dataclasses
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError, add_command_flags
from babyvlm_jax.runtime.json_fields import read_json
from data_prep import jobs
from data_prep.importing.flags import (
    add_command,
    add_embedding_flags,
    check_seed,
    positive,
)
from data_prep.jobs import write_whole
from data_prep.stages.embedding import Batches, embedder_facts, make_embedder
from data_prep.transfer import assignment, rewrite
from data_prep.transfer.assignment import (
    DENSE_PAIRS,
    Limits,
    Matching,
    distances_of,
    exact,
    sparse,
)

PART = 4096  # pictures of a file


def picture_embeddings(
    folder: Path,
    source: RecordSource,
    numbers: Sequence[int],
    batches: Batches,
    facts: Mapping[str, Any],
) -> np.ndarray:
    """Embeds the images of some records, or reads what was embedded before.

    Args:
        folder: that keeps them; a folder in it is made for this set of images.
        source: records of one image each.
        numbers: which records.
        batches: computes.
        facts: what the embedder is, JSON-able: with other facts all is made anew.

    Returns:
        f32[N, D] of unit norm, in the order of `numbers`.

    Raises:
        UserError: a record has not exactly one image, or the embedder fails.
    """
    numbers = np.asarray(numbers, np.int64)
    said = json.dumps([source.fingerprint, source.name, source.split, dict(facts)])
    digest = hashlib.sha256(said.encode() + numbers.tobytes()).hexdigest()[:16]
    place = folder / digest
    place.mkdir(parents=True, exist_ok=True)
    parts = []
    bar = tqdm(total=len(numbers), desc=f"embedding {source.name}", unit="picture")
    with bar:
        for first in range(0, len(numbers), PART):
            path = place / f"{first // PART:05d}.npy"
            if not path.exists():
                wanted = numbers[first : first + PART].tolist()
                found = batches.pictures(_pictures(source, wanted))
                out = io.BytesIO()
                np.save(out, found, allow_pickle=False)
                write_whole(path, out.getvalue())
            parts.append(np.load(path, allow_pickle=False))
            bar.update(len(parts[-1]))
    return np.concatenate(parts)


def _pictures(source, numbers) -> list[bytes]:
    records = source.read(numbers)
    for record in records:
        if len(record.images) != 1:
            raise UserError(
                f"record {record.id!r} of {source.name!r} has {len(record.images)} "
                "pictures; expected pairs of one picture and an utterance"
            )
    return [record.images[0] for record in records]


TABLE = "matches.parquet"
SUMMARY = "match.json"
EXACT_MOST = 20_000  # pictures of the larger side: 3.2 GB of distances
METHODS = ("auto", "exact", "sparse")


@dataclasses.dataclass(frozen=True)
class Settings:
    """How to match.

    Attributes:
        embedder: its facts, for the record.
        batches: what embeds.
        method: one of `METHODS`; `auto` is exact up to `EXACT_MOST`.
        limits: of the sparse method.
        num_targets: so many of them, drawn; None for all.
        subsample: targets of the comparison with the optimum.
        seed: of what is drawn.
    """

    embedder: Mapping[str, Any]
    batches: Batches
    method: str
    limits: Limits
    num_targets: int | None
    subsample: int
    seed: int

    def identity(self) -> dict[str, Any]:
        """What the matching depends on, JSON-able."""
        return {
            "embedder": dict(self.embedder),
            "image_size": self.batches.image_size,
            "method": self.method,
            "limits": dataclasses.asdict(self.limits),
            "num_targets": self.num_targets,
            "subsample": self.subsample,
            "seed": self.seed,
        }


def match_corpus(
    folder: Path, target: RecordSource, general: str | None, settings: Settings
) -> dict[str, Any]:
    """Matches the kept images of a transfer to a target corpus.

    Args:
        folder: of the transfer; its captions are rewritten.
        target: pairs of the target corpus.
        general: where the general-purpose shards are now; None if they did not move.
        settings: how.

    Returns:
        The summary; see `quality.compare` for the figures.

    Raises:
        UserError: nothing is rewritten yet, there are fewer kept candidates than
            targets, or the folder contains another matching.
    """
    if not (folder / rewrite.SUMMARY).exists():
        raise UserError(f"{folder} has no {rewrite.SUMMARY}; run rewrite first")
    rewritten = read_json(folder / rewrite.SUMMARY)
    identity = {
        "rewrite": rewritten["identity"],
        "target": {
            "name": target.name,
            "split": target.split,
            "fingerprint": target.fingerprint,
        },
        **settings.identity(),
    }
    job = jobs.Job(
        out=folder,
        name="match",
        kind=f"matching to {target.name}",
        summary=folder / SUMMARY,
        identity=identity,
        renewed=target.renewed,
    )
    with job.begun() as done:
        if done is not None:
            return done
        rows = rewrite.read_table(folder / rewrite.TABLE, ("number", "id", "keep"))
        kept = np.flatnonzero(rows["keep"])
        targets = _targets(len(target), settings)
        if len(kept) < len(targets):
            raise UserError(
                f"{len(targets):,} targets, but only {len(kept):,} kept candidates; "
                "rewrite more captions, or match fewer targets with --num-targets"
            )
        corpus = rewrite.open_corpus(rewritten["corpus"], general)
        numbers = np.asarray(rows["number"])[kept]
        facts = {key: identity[key] for key in ("embedder", "image_size")}
        embed = (settings.batches, facts)
        parts = folder / "embeddings"
        wanted = picture_embeddings(parts, target, targets, *embed)
        offered = picture_embeddings(parts, corpus, numbers, *embed)
        method, found = solve(wanted, offered, settings)
        distances = distances_of(wanted, offered[found.chosen])
        job.replace()
        rewrite.write_table(
            folder / TABLE,
            {
                "target_number": targets,
                "target_id": [target[int(number)].id for number in targets],
                "number": numbers[found.chosen],
                "id": [rows["id"][row] for row in kept[found.chosen]],
                "distance": distances,
            },
        )
        return job.finish(
            {
                "target": rewrite.corpus_facts(target),
                "method": method,
                "targets": len(targets),
                "candidates": len(kept),
                **compare(wanted, offered, found, settings),
            }
        )


def _targets(count: int, settings: Settings) -> np.ndarray:
    """i64[N] numbers of the target records that are matched, in order."""
    if settings.num_targets is None or settings.num_targets >= count:
        return np.arange(count)
    drawn = np.random.default_rng(settings.seed).choice(
        count, settings.num_targets, replace=False
    )
    return np.sort(drawn)


def solve(
    targets: np.ndarray, candidates: np.ndarray, settings: Settings
) -> tuple[str, Matching]:
    """Matches by the method that fits; says which it was."""
    method = settings.method
    if method == "auto":
        most = max(len(targets), len(candidates))
        method = "exact" if most <= EXACT_MOST else "sparse"
    if method == "exact":
        return method, exact(targets, candidates)
    return method, sparse(targets, candidates, settings.limits)


DRAWS = 10  # random one-to-one matchings
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def compare(
    targets: np.ndarray, candidates: np.ndarray, found: Matching, settings: Settings
) -> dict[str, Any]:
    """Figures of a matching; distances are means over the targets.

    Args:
        targets: f32[N, D] of unit norm.
        candidates: f32[M, D] of unit norm, M >= N.
        found: the matching.
        settings: limits of the sparse method, size of the subsample, seed.

    Returns:
        `distance`; `bound`, below which no one-to-one matching can be; `is_optimal`;
        `random`, of random ones; `quantiles` of the distances; `passes` of the sparse
        method; and `subsample`: some targets, and candidates in proportion (no more
        than can be matched exactly), drawn, with the distances of the optimum, of the
        sparse method and of random ones.
    """
    rng = np.random.default_rng([settings.seed, 1])
    distances = distances_of(targets, candidates[found.chosen])
    return {
        "distance": float(distances.mean()),
        "bound": found.bound / len(targets),
        "is_optimal": found.is_optimal,
        "random": random_distance(targets, candidates, rng),
        "quantiles": {
            str(q): float(v)
            for q, v in zip(QUANTILES, np.quantile(distances, QUANTILES), strict=True)
        },
        "passes": list(found.passes),
        "subsample": _subsample(targets, candidates, settings, rng),
    }


def random_distance(
    targets: np.ndarray, candidates: np.ndarray, rng: np.random.Generator
) -> float:
    """Mean distance of random one-to-one matchings."""
    draws = [
        rng.choice(len(candidates), len(targets), replace=False) for _ in range(DRAWS)
    ]
    means = [distances_of(targets, candidates[draw]).mean() for draw in draws]
    return float(np.mean(means))


def _subsample(targets, candidates, settings, rng) -> dict[str, float]:
    size = min(settings.subsample, len(targets))
    others = max(size, round(size * len(candidates) / len(targets)))
    others = min(others, max(size, DENSE_PAIRS // size))
    some = targets[rng.choice(len(targets), size, replace=False)]
    offered = candidates[rng.choice(len(candidates), others, replace=False)]
    best = exact(some, offered)
    ours = sparse(some, offered, settings.limits)
    return {
        "targets": size,
        "candidates": others,
        "optimum": best.bound / size,
        "sparse": float(distances_of(some, offered[ours.chosen]).mean()),
        "random": random_distance(some, offered, rng),
    }


HELP = """\
Kept images -> one for each pair of your corpus; step 2 of a transfer.

  python -m data_prep.transfer match runs/transfer --target=shards \\
      --target-name=filtered --embedder=clip@runs/clip

  # 10,000 targets, longer lists of candidates
  python -m data_prep.transfer match runs/transfer --target=shards \\
      --embedder=clip@runs/clip --num-targets=10000 --k=64

Each target gets the image that is nearest to it in the embedder's space, no image
twice, so that the total distance is least. Up to 20,000 images this is exact. Above,
lists of the nearest candidates are matched, and match.json says how far from the
optimum that can be at most. Images are embedded once; if killed, run the
same command again to resume. Exit codes: 0 finished, 78 bad input."""


def add_parser(commands) -> None:
    """Adds the command and its flags."""
    top = add_command(commands, "match", run, HELP)
    add = top.add_argument
    add("folder", metavar="DIR", help="of the transfer, with its rewritten captions")
    add("--target", required=True, metavar="SHARDS", help="folder of your corpus")
    add("--target-name", default="filtered", help="default: filtered")
    add("--target-split", default="train", help="default: train")
    add("--general", metavar="SHARDS", help="where the general-purpose dataset is now")
    add("--embedder", required=True, metavar="NAME@CHECKPOINT")
    add("--method", choices=METHODS, default=METHODS[0], help="default: auto")
    add("--num-targets", type=positive, metavar="N", help="so many, drawn; default all")
    add(
        "--k", type=positive, default=assignment.K, help="candidates on a list at first"
    )
    add("--widest", type=positive, default=assignment.WIDEST, help="and at most")
    add("--passes", type=positive, default=assignment.PASSES, help="of lists that grow")
    add(
        "--max-edges",
        type=positive,
        default=assignment.MAX_EDGES,
        metavar="N",
        help="of all lists together, which bounds memory (default 16 million)",
    )
    add("--subsample", type=positive, default=1000, metavar="N", help="default: 1000")
    add("--seed", type=int, default=0)
    add_embedding_flags(top)
    add_command_flags(top)


def run(args: argparse.Namespace) -> None:
    """Matches and prints how good it is.

    Raises:
        UserError: a bad flag or input.
    """
    check_seed(args.seed)
    embedder = make_embedder(args.embedder)
    settings = Settings(
        embedder=embedder_facts(args.embedder),
        batches=Batches(embedder, args.image_size, args.batch_size),
        method=args.method,
        limits=assignment.Limits(args.k, args.widest, args.passes, args.max_edges),
        num_targets=args.num_targets,
        subsample=args.subsample,
        seed=args.seed,
    )
    target = RecordSource(args.target, args.target_name, args.target_split)
    folder = Path(args.folder)
    done = match_corpus(folder, target, args.general, settings)
    print("\n".join(lines(done)))
    print(f"{folder / TABLE}; figures in {SUMMARY}")


def lines(done: dict[str, Any]) -> list[str]:
    """How good a matching is, as text; `done` is the summary."""
    some = done["subsample"]
    gap = done["distance"] - done["bound"]
    best = (
        "the optimum" if done["is_optimal"] else f"at most {gap:.4f} above the optimum"
    )
    return [
        f"{done['targets']:,} targets, {done['candidates']:,} candidates, "
        f"{done['method']}: mean distance {done['distance']:.4f}, {best}",
        f"random pictures: {done['random']:.4f}",
        f"of {some['targets']:,} targets and {some['candidates']:,} candidates: "
        f"optimum {some['optimum']:.4f}, sparse {some['sparse']:.4f}, "
        f"random {some['random']:.4f}",
    ]
