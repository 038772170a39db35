"""Step 2: for each pair of the target corpus, its own most similar kept picture.

The folder of a transfer gets `matches.parquet` (number and id of the target, number and
id of the candidate, cosine distance) and then `match.json`: what was matched, how, and
how good it is beside chance and beside the best possible.

Source: BabyVLM V1, Hungarian matching of CLIP image embeddings.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.json_fields import read_json
from data_prep import jobs
from data_prep.stages.embedding import Batches
from data_prep.transfer import rewrite, table
from data_prep.transfer.assignment import Limits, Matching, distances_of, exact, sparse
from data_prep.transfer.embeddings import picture_embeddings
from data_prep.transfer.quality import compare

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
    """Matches the kept pictures of a transfer to a target corpus.

    Args:
        folder: of the transfer; its captions are rewritten.
        target: pairs of the target corpus.
        general: where the general-purpose shards are now; None if they did not move.
        settings: how.

    Returns:
        The summary; see `quality.compare` for the figures.

    Raises:
        UserError: nothing is rewritten yet, there are fewer kept candidates than
            targets, or the folder holds another matching.
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
        rows = table.read_table(folder / rewrite.TABLE, ("number", "id", "keep"))
        kept = np.flatnonzero(rows["keep"])
        targets = _targets(len(target), settings)
        if len(kept) < len(targets):
            raise UserError(
                f"{len(targets):,} targets, but only {len(kept):,} kept candidates; "
                "rewrite more captions, or match fewer targets with --num-targets"
            )
        corpus = table.open_corpus(rewritten["corpus"], general)
        numbers = np.asarray(rows["number"])[kept]
        facts = {key: identity[key] for key in ("embedder", "image_size")}
        embed = (settings.batches, facts)
        parts = folder / "embeddings"
        wanted = picture_embeddings(parts, target, targets, *embed)
        offered = picture_embeddings(parts, corpus, numbers, *embed)
        method, found = solve(wanted, offered, settings)
        distances = distances_of(wanted, offered[found.chosen])
        job.replace()
        table.write_table(
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
                "target": table.corpus_facts(target),
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
