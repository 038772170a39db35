"""Whether what lies in a folder is what a command would make."""

from collections.abc import Mapping
from typing import Any


def difference(there: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """What tells two identities apart, for a message; empty if nothing does.

    {"fps": 1, "seed": 0} and {"fps": 2, "seed": 1} differ in

        fps, seed (fps: there 1, now 2)
    """
    differing = [
        key for key in sorted({*there, *wanted}) if there.get(key) != wanted.get(key)
    ]
    if not differing:
        return ""
    key = differing[0]
    values = f"there {there.get(key)!r:.200}, now {wanted.get(key)!r:.200}"
    return f"{', '.join(differing)} ({key}: {values})"
