"""What an import did, in a few lines."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from babyvlm_jax.runtime.errors import printable
from data_prep.importing.refusal import REASONS

COUNTS = ("records", "images", "turns", "words")


def tell_summary(summary: Mapping[str, Any], path: Path) -> None:
    """Prints the counts of an import by source, and of what was left out by reason."""
    print(printable("\n".join(lines(summary, path))))


def lines(summary: Mapping[str, Any], path: Path) -> list[str]:
    """The lines that `tell_summary` prints.

    Args:
        summary: as `engine.run_import` returns it.
        path: where it is kept.
    """
    sources = summary["sources"]
    total = sum(counts["records"] for counts in sources.values())
    found = [f"{summary['dataset']}/{summary['split']}: {total:,} records"]
    width = max(map(len, sources))
    for source, counts in sources.items():
        told = ", ".join(f"{counts[what]:,} {what}" for what in COUNTS)
        found.append(f"  {source:{width}}  {told}")
    if summary["skipped"]:
        found.append(f"  left out {len(summary['skipped']):,}, listed in {path}")
        width = max(map(len, summary["reasons"]))
        for reason, says in REASONS.items():
            if count := summary["reasons"].get(reason):
                found.append(f"    {reason:{width}}  {count:,}  {says}")
    for field, count in summary.get("unused", {}).items():
        found.append(
            f"  the field {field!r} of {count:,} records is not kept: it holds neither "
            "text nor numbers"
        )
    return found
