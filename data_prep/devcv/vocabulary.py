"""Which words Picture Vocabulary asks for, and which ones it puts beside them.

A distractor is drawn from a mixture: a third of its chance goes to words of similar
meaning, a third to words of similar sound, a third to all words alike.

Source: BabyVLM-V2, Picture Vocabulary (distractors by semantic and phonological
similarity, words of the MAB-CDI); ours: the shares and widths of the mixture, as the
distribution that was estimated from the NIH test is not published.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from babyvlm_jax.runtime.errors import UserError
from data_prep.devcv import vectors
from data_prep.devcv.wordlist import normal, read_lines

WIDTH = 0.15  # of similarity, 0 to 1: a word so much less similar is e times rarer


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """Words and what makes them similar.

    Attributes:
        words: word in its normal form -> category of the list, or None.
        vectors: of words, for similarity of meaning; without any, words of one category
            are similar.
        sounds: word -> its phonemes; a word without is heard as it is spelt.
        fingerprint: of what all this was read or learnt from.
    """

    words: Mapping[str, str | None]
    vectors: Mapping[str, np.ndarray]
    sounds: Mapping[str, tuple[str, ...]]
    fingerprint: str = ""

    def settings(self) -> dict[str, object]:
        """What it is, as JSON values; equal for equal vocabularies."""
        return {
            "words": len(self.words),
            "vectors": len(self.vectors),
            "sounds": len(self.sounds),
            "fingerprint": self.fingerprint,
        }

    def has(self, noun: str) -> bool:
        """Whether a noun of the corpus is on the list."""
        return normal(noun) in self.words

    def meaning(self, a: str, b: str) -> float:
        """Similarity of meaning, 0 to 1."""
        if self.vectors:
            one, other = (vectors.of_word(word, self.vectors) for word in (a, b))
            if one is None or other is None:
                return 0.0
            length = np.linalg.norm(one) * np.linalg.norm(other)
            return max(float(one @ other / max(length, 1e-9)), 0.0)
        category = self.words.get(normal(a))
        return float(category is not None and category == self.words.get(normal(b)))

    def sound(self, a: str, b: str) -> float:
        """Similarity of sound, 0 to 1: one less edits a phoneme of the longer word."""
        one, other = self._sounds(a), self._sounds(b)
        return 1 - edits(one, other) / max(len(one), len(other), 1)

    def _sounds(self, word: str) -> Sequence[str]:
        parts = normal(word).split()
        return [p for part in parts for p in self.sounds.get(part, tuple(part))]

    def beside(
        self, rng: np.random.Generator, word: str, others: Sequence[str], number: int
    ) -> list[str]:
        """Draws distractors for a word.

        Args:
            rng: the dice.
            word: that is asked for.
            others: that may stand beside it, `number` at least.
            number: how many.
        """
        weights = np.mean(
            [
                _shares([self.meaning(word, other) for other in others]),
                _shares([self.sound(word, other) for other in others]),
                np.full(len(others), 1 / len(others)),
            ],
            axis=0,
        )
        chosen = rng.choice(len(others), number, replace=False, p=weights)
        return [others[i] for i in chosen]


def _shares(similar: Sequence[float]) -> np.ndarray:
    """Chances that sum to 1, higher for what is more similar."""
    weights = np.exp((np.array(similar) - max(similar)) / WIDTH)
    return weights / weights.sum()


def edits(a: Sequence[str], b: Sequence[str]) -> int:
    """Least number of insertions, deletions and changes that make `a` into `b`.

    edits("cup", "cap") -> 1
    """
    row = list(range(len(b) + 1))
    for i, one in enumerate(a, 1):
        before, row[0] = row[0], i
        for k, other in enumerate(b, 1):
            changed = before + (one != other)
            before = row[k]
            row[k] = min(changed, row[k] + 1, row[k - 1] + 1)
    return row[-1]


def read_sounds(path: str | Path) -> dict[str, tuple[str, ...]]:
    """Pronunciations as the CMU dictionary has them: `CUP  K AH1 P`.

    Of several the first counts; the stress of vowels is left out.

    Raises:
        UserError: the file cannot be read, or a line has no phoneme.
    """
    found: dict[str, tuple[str, ...]] = {}
    for number, line in enumerate(read_lines(Path(path), "--pronunciations")):
        if line.startswith((";;;", "#")):
            continue
        parts = line.split("#")[0].split()
        if len(parts) < 2:
            raise UserError(
                f"--pronunciations={path}: line {number + 1} is not a word and phonemes"
            )
        word, *phonemes = parts
        word = word.split("(")[0].lower()
        found.setdefault(word, tuple(p.rstrip("012") for p in phonemes))
    return found
