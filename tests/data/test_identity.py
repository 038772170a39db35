"""A run goes on with the data that it began with, or says why not."""

import numpy as np
import pytest

from babyvlm_jax.data.identity import check_facts, digest
from babyvlm_jax.errors import UserError

FACTS = {"datasets": "pairs 12ab", "tokenizer": "34cd", "order": "56ef"}


@pytest.mark.parametrize(
    "key,reason",
    [
        ("datasets", r"other records .*\(datasets was 'old', is 'pairs 12ab'\)"),
        ("tokenizer", "the tokenizer file is another one"),
        ("order", "in other rows or another order"),
    ],
)
def test_the_reason_is_named(key, reason):
    check_facts(FACTS, dict(FACTS), "step 5")
    with pytest.raises(UserError, match=f"step 5 cannot go on .*{reason}"):
        check_facts({**FACTS, key: "old"}, FACTS, "step 5")


def test_facts_that_were_not_kept_are_not_guessed():
    with pytest.raises(UserError, match="datasets was None"):
        check_facts({}, FACTS, "step 5")


def test_digest_sees_order_and_borders():
    a, b = np.array([1, 2]), np.array([3])
    assert digest(a, b, 2, 1) == digest(a, b, 2, 1)
    assert digest(a, b, 2, 1) != digest(a, b, 1, 2)
    assert digest(a, b) != digest(b, a)
