"""The dataset cards of a transfer's datasets."""

from collections.abc import Mapping
from typing import Any


def card(name: str, summary: Mapping[str, Any], matched: Mapping[str, Any]) -> str:
    """Markdown: where the pairs come from and what chose them.

    Args:
        name: of the dataset.
        summary: of its only split.
        matched: the summary of the matching.
    """
    identity = matched["identity"]
    rewriter, embedder = identity["rewrite"]["rewriter"], identity["embedder"]
    target = identity["target"]
    lines = [
        f"# `{name}`: {summary['records']:,} pairs of `{identity['rewrite']['name']}`",
        "",
        "General-purpose pictures with utterances for a small child, made by",
        "`python -m data_prep.transfer`. No child was filmed for them.",
        "",
        "- rewriter: " + ", ".join(f"{k} `{v}`" for k, v in rewriter.items()),
    ]
    if "captions" in summary["identity"]:
        of = summary["identity"]["captions"]
        seed = summary["identity"]["seed"]
        return "\n".join(
            [*lines, f"- pictures drawn at random, seed {seed}, captions {of}", ""]
        )
    some = matched["subsample"]
    return "\n".join(
        [
            *lines,
            f"- one picture for each of {matched['targets']:,} pairs of "
            f"`{target['name']}/{target['split']}`, of {matched['candidates']:,} kept "
            f"ones, no picture twice; method {matched['method']}",
            f"- embedder `{embedder['embedder']}`, checkpoint "
            f"`{embedder['checkpoint'] or 'none'}`, files sha256 "
            f"{embedder['weights'] or '-'}",
            "",
            "| cosine distance, mean | all | subsample |",
            "|---|---:|---:|",
            f"| matched | {matched['distance']:.4f} | {some['sparse']:.4f} |",
            f"| optimum | at least {matched['bound']:.4f} | {some['optimum']:.4f} |",
            f"| random | {matched['random']:.4f} | {some['random']:.4f} |",
            "",
        ]
    )
