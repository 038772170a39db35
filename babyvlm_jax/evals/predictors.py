"""Who answers: the protocol of two methods, and our checkpoints behind it.

Other people's models are in `transformers_model` and `predictions_file`.
"""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np

from babyvlm_jax.data.rows import decode
from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.engine import Choices, Played, play
from babyvlm_jax.evals.reader import Features, Reader, plan
from babyvlm_jax.runtime.errors import UserError

MAX_NEW_TOKENS = 16  # ours: no allowed answer is longer; a babbler is cut off early

Replies = list[list[str]]  # per item and round
Likelihoods = list[list[np.ndarray]]  # per item and round, f64[offered answers]


class Predictor(Protocol):
    """A model that answers benchmark items.

    An item is a record of questions and right answers in turn; the answers are never
    shown. Where there are several rounds, the model's own replies are the history.
    """

    def generate(self, items: Sequence[Record]) -> Replies:
        """What the model writes, greedily, in each round of each item."""
        ...

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        """Log-likelihoods of the offered answers in each round of each item.

        The likeliest answer of a round is the reply in the history of the next.
        """
        ...

    def answer(
        self, items: Sequence[Record], choices: Sequence[Choices]
    ) -> tuple[Replies, Likelihoods]:
        """Both; a model that can share work between them has its own way."""
        return self.generate(items), self.score(items, choices)

    def beyond_context(self, items: Sequence[Record]) -> list[int]:
        """Tokens of each item that does not fit the model's context, as far as known.

        An item counts with its right answers as the history.
        """
        return []

    def counting_eos(self) -> "Predictor":
        """The same model, whose likelihoods count the end of an answer if they can."""
        return self


@dataclasses.dataclass
class CheckpointPredictor(Predictor):
    """One of our checkpoints.

    Attributes:
        reader: the checkpoint and the way it reads records.
        max_new_tokens: where a written answer is cut off.
        normalize: likelihoods are per token, as BabyVLM V1's.
        score_eos: the <eos> behind an answer counts; V1's does not.
        score_unknown: so do its words that the tokenizer does not know, as in V1.
        progress: is told the number of items that are newly answered.
    """

    reader: Reader
    max_new_tokens: int = MAX_NEW_TOKENS
    normalize: bool = False
    score_eos: bool = True
    score_unknown: bool = False
    progress: Callable[[int], object] = lambda number: None

    def __post_init__(self):
        self._features = Features(self.reader)

    def generate(self, items: Sequence[Record]) -> Replies:
        return [one.replies for one in self._play(items, None, self.max_new_tokens)]

    def score(self, items: Sequence[Record], choices: Sequence[Choices]) -> Likelihoods:
        return [one.likelihoods for one in self._play(items, choices, 0)]

    def answer(
        self, items: Sequence[Record], choices: Sequence[Choices]
    ) -> tuple[Replies, Likelihoods]:
        played = self._play(items, choices, self.max_new_tokens)
        return [one.replies for one in played], [one.likelihoods for one in played]

    def beyond_context(self, items: Sequence[Record]) -> list[int]:
        lengths = [len(self.reader.encode(i, answer=False).tokens) for i in items]
        return [length for length in lengths if self.reader.is_beyond(length)]

    def counting_eos(self) -> "CheckpointPredictor":
        return dataclasses.replace(self, score_eos=True)

    def _play(self, items, choices, max_new_tokens) -> list[Played]:
        self._hold(items)
        lengths = [len(self.reader.encode_prompt(item).tokens) for item in items]
        played: dict[int, Played] = {}
        for batch in plan(lengths, self.reader):
            found = play(
                self.reader,
                self._features,
                [items[i] for i in batch],
                choices and [choices[i] for i in batch],
                max_new_tokens,
                self.normalize,
                self.score_eos,
                self.score_unknown,
            )
            played |= zip(batch, found, strict=True)
            self.progress(len(batch))
        return [played[index] for index in range(len(items))]

    def _hold(self, items: Sequence[Record]) -> None:
        """Encodes the pictures of the items.

        Raises:
            UserError: one cannot be decoded; names the item.
        """
        try:
            self._features.hold(image for item in items for image in item.images)
        except UserError:
            for item in items:
                decode(item.id, item.images, self.reader.image_size)  # says which
            raise
