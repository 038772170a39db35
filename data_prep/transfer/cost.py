"""What asking a model will take, before it is asked, and what it has taken.

Prices change, so they are given by flags: dollars for a million tokens, read and
written. Without them tokens are told alone.
"""

import dataclasses
import json
from collections.abc import Sequence

from babyvlm_jax.runtime.errors import UserError
from data_prep.transfer import prompts

CHARACTERS = 4.0  # of a token, about, in English
ANSWER_TOKENS = 30  # of an answer, about: a dozen words and the JSON around them


@dataclasses.dataclass(frozen=True)
class Prices:
    """Dollars for a million tokens; both 0 if they are not known."""

    read: float = 0.0
    written: float = 0.0

    def dollars(self, tokens_in: float, tokens_out: float) -> float:
        return (tokens_in * self.read + tokens_out * self.written) / 1e6


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What is still to be asked, about."""

    captions: int
    requests: int
    tokens_in: int
    tokens_out: int

    def line(self, prices: Prices) -> str:
        """One line for a person."""
        dollars = prices.dollars(self.tokens_in, self.tokens_out)
        cost = f", about ${dollars:,.2f}" if prices != Prices() else ""
        return (
            f"{self.captions:,} captions in {self.requests:,} requests: about "
            f"{self.tokens_in:,} tokens to read and {self.tokens_out:,} to write{cost}"
        )


def estimate(captions: Sequence[str], per_request: int) -> Estimate:
    """Adds up the requests for some captions.

    Args:
        captions: to be asked about.
        per_request: captions of a request.
    """
    empty = prompts.messages([])
    requests = -(-len(captions) // per_request)
    around = sum(len(message["content"]) for message in empty)
    around += len(json.dumps(prompts.SCHEMA))
    item = len('{"id": 00, "caption": ""}, ')
    characters = requests * around + sum(len(text) + item for text in captions)
    return Estimate(
        captions=len(captions),
        requests=requests,
        tokens_in=round(characters / CHARACTERS),
        tokens_out=len(captions) * ANSWER_TOKENS,
    )


@dataclasses.dataclass
class Purse:
    """Adds up what is spent.

    Attributes:
        prices: of tokens.
        most: dollars that may be spent; 0 for no limit.
        tokens_in, tokens_out: so far.
    """

    prices: Prices
    most: float = 0.0
    tokens_in: int = 0
    tokens_out: int = 0

    def expect(self, wanted: Estimate) -> None:
        """Raises UserError if the estimate is over the limit."""
        dollars = self.prices.dollars(wanted.tokens_in, wanted.tokens_out)
        if self.most and dollars > self.most:
            raise UserError(
                f"about ${dollars:,.2f} would be spent, more than --max-cost="
                f"{self.most:g}; raise it, or ask about fewer captions with --limit"
            )

    def pay(self, tokens_in: int, tokens_out: int) -> None:
        """Adds a request.

        Raises:
            UserError: the limit is reached.
        """
        self.tokens_in += tokens_in
        self.tokens_out += tokens_out
        spent = self.prices.dollars(self.tokens_in, self.tokens_out)
        if self.most and spent >= self.most:
            raise UserError(
                f"${spent:,.2f} are spent, --max-cost={self.most:g} is reached; the "
                "answers so far are kept: raise it to go on"
            )
