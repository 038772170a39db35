"""Checks across items: the same item twice, the same picture in two splits."""

from collections.abc import Iterable, Sequence

import numpy as np
import scipy.spatial

from data_prep.devcv.audit import looks
from data_prep.devcv.audit.answers import Splits
from data_prep.devcv.audit.facts import Facts
from data_prep.devcv.audit.findings import FAULT, NONE, NOTE, OK, Finding

# Sum of differences of two 8x8 thumbnails, against the spread of the one; ours: files
# saved again stay below, other pictures of the same make above.
CLOSE = 2 / 25
FLAT = 2  # mean deviation (of 255) below which a picture has no look to compare; ours
SAME = 0.01  # share of items that may show files of an earlier split; ours
ALIKE = 0.05  # that may show its looks, or be there twice: things may look alike; ours


def duplicates(task: str, splits: Splits) -> Finding:
    """The same question about the same pictures, in whatever order, within a split."""
    total = sum(len(items) for items in splits.values())
    found = {split: _repeated(items) for split, items in splits.items()}
    again = sum(len(repeated) for repeated, _ in found.values())
    against = sum(number for _, number in found.values())
    first = next((repeated[0] for repeated, _ in found.values() if repeated), None)
    values = {"items": total, "against": against, "first": first}
    values |= {split: len(repeated) for split, (repeated, _) in found.items()}
    told = f"{again:,} of {total:,} items are there twice"
    if not again:
        return Finding("duplicates", OK, f"no item of {total:,} is there twice", "0")
    # Training items may well come again; in a test they weigh double.
    is_fault = against > 0 or any(
        len(repeated) > ALIKE * len(splits[split])
        for split, (repeated, _) in found.items()
        if split != "train"
    )
    if against:
        told += f"; {against:,} of them with another answer"
    verdict = FAULT if is_fault else NOTE
    told = f"{told} (the first: {first})"
    return Finding("duplicates", verdict, told, f"{again:,}", values)


def _repeated(items: Sequence[Facts]) -> tuple[list[str], int]:
    """Ids of items that were there before, and how many contradict an earlier one."""
    answers: dict[tuple, tuple] = {}
    seen, repeated, against = set(), [], 0
    for item in items:
        asked = tuple(one.prompt for one in item.rounds)
        answer = tuple(one.answer for one in item.rounds)
        whole = (asked, item.digests.tobytes())
        against += answers.setdefault(whole, answer) != answer
        key = (asked, np.sort(item.digests).tobytes())
        if key in seen:
            repeated.append(item.id)
        seen.add(key)
    return repeated, against


def leaks(task: str, splits: Splits) -> Finding:
    """Items of val and test whose pictures an earlier split shows too."""
    same, alike, total, first = 0, 0, 0, None
    origins: set = set()
    for split, known in (("val", ("train",)), ("test", ("train", "val"))):
        items = splits.get(split, ())
        others = [item for name in known for item in splits.get(name, ())]
        if not items or not others:
            continue
        shown = _Shown(others)
        for item in items:
            total += 1
            is_same, is_alike = shown.has(item)
            same += is_same
            alike += is_alike and not is_same
            first = first or (item.id if is_alike else None)
        origins |= _origins(items) & _origins(others)
    if not total:
        return Finding("leaks", NONE, "one split alone, or no pictures")
    values = {
        "items": total,
        "same": same,
        "alike": alike,
        "origins": sorted(f"{kind} {name}" for kind, name in origins)[:20],
    }
    told = (
        f"of {total:,} items {same:,} show the files of an earlier split, {alike:,} "
        "what looks like them"
    )
    if origins:
        told += f"; {len(origins):,} recordings or instances are in two splits"
    if first:
        told += f" (the first: {first})"
    is_fault = bool(origins) or same > SAME * total or alike > ALIKE * total
    verdict = FAULT if is_fault else NOTE if first else OK
    return Finding("leaks", verdict, told, f"{same:,} + {alike:,}", values)


def _origins(items: Iterable[Facts]) -> set[tuple[str, str]]:
    return {origin for item in items for origin in item.origins}


class _Shown:
    """Pictures of other splits, by file and by look.

    Looks are compared in whole numbers, so that no verdict depends on how a processor
    rounds. Sums over quarters differ by no more than the pixels do: a tree of them
    finds the few pictures that are worth comparing.
    """

    def __init__(self, items: Sequence[Facts]):
        digests = np.concatenate([item.digests for item in items])
        thumbs = np.concatenate([item.thumbs for item in items])
        self._digests, keep = np.unique(digests, return_index=True)
        self._thumbs = thumbs[keep]
        self._tree = scipy.spatial.KDTree(_quarters(self._thumbs))

    def has(self, item: Facts) -> tuple[bool, bool]:
        """Whether half of its pictures, or more, are shown: the same files; the looks.

        A flat picture has no look; it counts where all are so.
        """
        spreads = np.array([_spread(thumb) for thumb in item.thumbs])
        indices = np.flatnonzero(spreads)
        if not len(indices):
            indices = np.arange(len(item.digests))
        same = np.isin(item.digests[indices], self._digests).tolist()
        alike = [
            is_same or self._shows_look(item.thumbs[index], CLOSE * spreads[index])
            for is_same, index in zip(same, indices, strict=True)
        ]
        return 2 * sum(same) >= len(indices), 2 * sum(alike) >= len(indices)

    def _shows_look(self, thumb, limit) -> bool:
        near = self._tree.query_ball_point(_quarters(thumb[None])[0], limit, p=1)
        differ = np.abs(self._thumbs[near].astype(np.int32) - thumb)
        return bool(limit and (differ.sum(axis=(1, 2, 3)) <= limit).any())


def _spread(thumb: np.ndarray) -> int:
    """Sum of deviations from the mean colour of what is not black; 0 if that is flat.

    Black margins are alike in all pictures that have them.
    """
    thing = thumb.max(axis=2) > looks.BLACK
    pixels = thumb[thing if thing.any() else ~thing].astype(np.int64)
    spread = np.abs(len(pixels) * pixels - pixels.sum(axis=0)).sum() // len(pixels)
    return int(spread) if spread >= FLAT * pixels.size else 0


def _quarters(thumbs: np.ndarray) -> np.ndarray:
    """u8[M, 8, 8, 3] -> i64[M, 12], the sums of each quarter's channels."""
    half = looks.SMALL // 2
    blocks = thumbs.reshape(-1, 2, half, 2, half, 3)
    return blocks.sum(axis=(2, 4), dtype=np.int64).reshape(len(thumbs), -1)
