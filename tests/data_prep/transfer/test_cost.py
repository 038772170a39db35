import json

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.transfer import prompts
from data_prep.transfer.cost import ANSWER_TOKENS, Prices, Purse, estimate


def test_an_estimate_counts_what_is_sent():
    captions = [f"a photo of number {i} on a wall" for i in range(45)]
    found = estimate(captions, per_request=20)
    sent = sum(
        len(json.dumps(prompts.messages(captions[first : first + 20])))
        + len(json.dumps(prompts.SCHEMA))
        for first in (0, 20, 40)
    )
    assert (found.captions, found.requests) == (45, 3)
    # four characters a token, escapes aside
    assert found.tokens_in == pytest.approx(sent / 4, rel=0.1)
    assert found.tokens_out == 45 * ANSWER_TOKENS
    assert "$" not in found.line(Prices())
    assert "about $" in found.line(Prices(2, 8))


def test_too_dear_is_said_before_anything_is_sent():
    wanted = estimate(["a ball"] * 1000, 20)
    with pytest.raises(UserError, match=r"more than --max-cost=0\.01"):
        Purse(Prices(1, 1), 0.01).expect(wanted)
    Purse(Prices(1, 1), 0).expect(wanted)
    Purse(Prices(1, 1), 100).expect(wanted)
