"""What makes a run's batches what they are, as short facts to be compared.

They are stored with each checkpoint: a run that goes on must get the batches that it
would have got, or be told why it cannot.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.errors import UserError

_REASONS = {
    "datasets": "the datasets have other records than those it was trained on",
    "tokenizer": "the tokenizer file is another one",
    "order": "the same records are put in other rows or another order",
    "validation": "it is measured on other records than before",
}
_WHERE_KEPT = ("validation",)  # the first edition kept nothing of these


def digest(*parts) -> str:
    """Short hash of integers and arrays of integers."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(np.asarray(part, np.int64).tobytes())
    return whole.hexdigest()[:16]


class Facts(dict[str, str]):
    """Facts by name, which also know what the first edition called the same data."""

    def __init__(self, facts: Mapping[str, str], lessons: Sequence[Sequence]):
        """
        Args:
            facts: datasets, tokenizer, order.
            lessons: the `RecordSource`s of each lesson; one that is not divided has
                one.
        """
        super().__init__(facts)
        self._lessons = lessons

    def known_as(self, key: str, saved: str | None) -> str:
        """`saved` if an earlier edition called the same fact so, or the fact."""
        if key != "datasets" or saved in (None, self[key]):
            return self[key]
        there = dict(re.findall(r"([^,; ]+) ([^,; ]+)", saved))
        return _named(
            [(one.name, one.known_as(there.get(one.name, ""))) for one in sources]
            for sources in self._lessons
        )

    def verify(self) -> None:
        """Reads all records of the datasets.

        Raises:
            UserError: some are not as they were written; names their files.
        """
        sources = {(s.name, s.split): s for lesson in self._lessons for s in lesson}
        if faults := [fault for one in sources.values() for fault in one.faults()]:
            raise UserError(f"{len(faults)} files are damaged: {'; '.join(faults)}")

    @classmethod
    def join(cls, parts: "Sequence[Facts]") -> "Facts":
        """Those of a run whose lessons have `parts`."""
        joined = {key: "; ".join(part[key] for part in parts) for key in parts[0]}
        return cls(joined, [sources for part in parts for sources in part._lessons])


def _named(lessons: Iterable[Iterable[tuple[str, str]]]) -> str:
    """Names and fingerprints as text: `pairs 12ab, text 34cd; pairs 12ab`."""
    return "; ".join(", ".join(map(" ".join, lesson)) for lesson in lessons)


def plan_facts(sources: Sequence[RecordSource], tokenizer: str, order: str) -> Facts:
    """Facts of a plan.

    Args:
        sources: the datasets.
        tokenizer: fingerprint; empty if there is none.
        order: `digest` of the first epoch.
    """
    datasets = _named([[(one.name, one.fingerprint) for one in sources]])
    facts = {"datasets": datasets, "tokenizer": tokenizer, "order": order}
    return Facts(facts, [sources])


def check_facts(saved: Mapping[str, str], here: Mapping[str, str], where: str) -> None:
    """Raises UserError, with the reason, unless the facts are the same.

    Args:
        saved: of the checkpoint.
        here: of this run.
        where: the checkpoint, for the message.
    """
    for key, reason in _REASONS.items():
        if key in _WHERE_KEPT and not (key in saved and key in here):
            continue
        there = saved.get(key)
        now = here.known_as(key, there) if isinstance(here, Facts) else here[key]
        if there != now:
            raise UserError(
                f"{where} cannot go on with this data: {reason} ({key} was "
                f"{there!r}, is {here[key]!r}); bring back what it was "
                "trained on, or choose another --workdir"
            )
