"""What makes a run's batches what they are, as short facts to be compared.

They are stored with each checkpoint: a run that goes on must get the batches that it
would have got, or be told why it cannot.
"""

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.errors import UserError

_REASONS = {
    "datasets": "the datasets have other records than those it was trained on",
    "tokenizer": "the tokenizer file is another one",
    "order": "the same records are put in other rows or another order",
}


def digest(*parts) -> str:
    """Short hash of integers and arrays of integers."""
    whole = hashlib.sha256()
    for part in parts:
        whole.update(np.asarray(part, np.int64).tobytes())
    return whole.hexdigest()[:16]


def plan_facts(
    sources: Sequence[RecordSource], tokenizer: str, order: str
) -> dict[str, str]:
    """Facts of a plan.

    Args:
        sources: the datasets.
        tokenizer: fingerprint; empty if there is none.
        order: `digest` of the first epoch.
    """
    datasets = {source.name: source.fingerprint for source in sources}
    return {
        "datasets": ", ".join(f"{name} {key}" for name, key in datasets.items()),
        "tokenizer": tokenizer,
        "order": order,
    }


def check_facts(saved: Mapping[str, str], here: Mapping[str, str], where: str) -> None:
    """Raises UserError, with the reason, unless the facts are the same.

    Args:
        saved: of the checkpoint.
        here: of this run.
        where: the checkpoint, for the message.
    """
    for key, reason in _REASONS.items():
        if saved.get(key) != here[key]:
            raise UserError(
                f"{where} cannot go on with this data: {reason} ({key} was "
                f"{saved.get(key)!r}, is {here[key]!r}); bring back what it was "
                "trained on, or choose another --workdir"
            )
