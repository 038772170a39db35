"""What makes a run's batches what they are, as short facts to be compared.

They are stored with each checkpoint: a run that goes on must get the batches that it
would have got, or be told why it cannot.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError

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
    """Facts by name, and the datasets that they are of."""

    def __init__(self, facts: Mapping[str, str], sources: Sequence[RecordSource]):
        super().__init__(facts)
        self._sources = {(one.name, one.split): one for one in sources}

    def renewed(self, saved: Mapping[str, str]) -> dict[str, str]:
        """Saved facts, the same data called as it is now; see `RecordSource.renewed`.

        {"datasets": "pairs 12ab, text 34cd"} may become
        {"datasets": "pairs 56ef, text 34cd"}.
        """
        sources = {one.name: one for one in self._sources.values()}

        def renew(found):
            source = sources.get(found[1])
            return f"{found[1]} {source.renewed(found[2])}" if source else found[0]

        pair = r"([^,; ]+) ([^,; ]+)"
        return {
            key: re.sub(pair, renew, text) if key == "datasets" else text
            for key, text in saved.items()
        }

    def verify(self) -> None:
        """Reads all records of the datasets.

        Raises:
            UserError: some are not as they were written; names their files.
        """
        faults = [one for source in self._sources.values() for one in source.faults()]
        if faults:
            raise UserError(f"{len(faults)} files are damaged: {'; '.join(faults)}")

    @classmethod
    def join(cls, parts: "Sequence[Facts]") -> "Facts":
        """Those of a run whose lessons have `parts`."""
        joined = {key: "; ".join(part[key] for part in parts) for key in parts[0]}
        return cls(joined, [one for part in parts for one in part._sources.values()])


def plan_facts(sources: Sequence[RecordSource], tokenizer: str, order: str) -> Facts:
    """Facts of a plan.

    Args:
        sources: the datasets.
        tokenizer: fingerprint; empty if there is none.
        order: `digest` of the first epoch.
    """
    datasets = ", ".join(f"{one.name} {one.fingerprint}" for one in sources)
    facts = {"datasets": datasets, "tokenizer": tokenizer, "order": order}
    return Facts(facts, sources)


def check_facts(saved: Mapping[str, str], here: Mapping[str, str], where: str) -> None:
    """Raises UserError, with the reason, unless the facts are the same.

    Args:
        saved: of the checkpoint.
        here: of this run.
        where: the checkpoint, for the message.
    """
    if isinstance(here, Facts) and saved.get("datasets") != here["datasets"]:
        saved = here.renewed(saved)
    for key, reason in _REASONS.items():
        if key in _WHERE_KEPT and not (key in saved and key in here):
            continue
        if saved.get(key) != here[key]:
            raise UserError(
                f"{where} cannot go on with this data: {reason} ({key} was "
                f"{saved.get(key)!r}, is {here[key]!r}); bring back what it was "
                "trained on, or choose another --workdir"
            )
