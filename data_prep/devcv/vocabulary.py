"""Which words Picture Vocabulary asks for, and which ones are its distractors.

Words come from a list such as those of the MacArthur-Bates inventories (CDI): plain
text with one word per line, or a table (commas or tabs) whose header names the column
of words and may name one of categories. A distractor is drawn from a mixture: a third
of its probability goes to words of similar meaning, a third to words of similar sound,
a third to all words alike. Meaning is compared by word vectors, read from a file or
learned from text: positive pointwise mutual information in a window, reduced by a
singular value decomposition.

Source: BabyVLM-V2, Picture Vocabulary (distractors by semantic and phonological
similarity, words of the MAB-CDI); ours: the shares and widths of the mixture, as the
distribution that was estimated from the NIH test is not published. Levy & Goldberg,
Neural Word Embedding as Implicit Matrix Factorization, 2014.
"""

import collections
import contextlib
import csv
import dataclasses
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
import scipy.sparse

from babyvlm_jax.runtime.errors import UserError, check_file, raise_system_fault
from data_prep import raw

WORD_COLUMNS = ("word", "item_definition", "definition", "uni_lemma", "item")
CATEGORY_COLUMNS = ("category", "lexical_category", "section")
_REMARK = re.compile(r"\([^)]*\)|\*")
WINDOW = 4  # words to each side
MAX_WORDS = 5000  # the most frequent ones
MIN_COUNT = 2
NUM_DIMENSIONS = 50
OVERSAMPLED = 10  # dimensions more while the largest are looked for
POWER_STEPS = 4
_WORD = re.compile(r"[a-z']+")
WIDTH = 0.15  # of similarity, 0 to 1: a word so much less similar is e times rarer


def normal(word: str) -> str:
    """The form in which words are compared.

    normal("Toy_Cup") -> "toy cup"; normal("fish (animal)") -> "fish"
    """
    return " ".join(re.sub(r"[^a-z0-9']+", " ", _REMARK.sub(" ", word.lower())).split())


def read_words(path: str | Path) -> dict[str, str | None]:
    """Reads a list of words.

    An entry such as `couch/sofa` stands for both words.

    Returns:
        Word in its normal form -> category, None where the list has none.

    Raises:
        UserError: the file cannot be read, has no word, or a table without a column
            of words.
    """
    lines = read_lines(Path(path), "--words")
    delimiter = "\t" if any("\t" in line for line in lines) else ","
    if not any(delimiter in line for line in lines):
        return _entries(((line, None) for line in lines), path)
    try:
        header, *rows = csv.reader(lines, delimiter=delimiter)
    except csv.Error as error:
        raise UserError(f"--words={path}: not a table ({error})") from None
    header = [name.strip().lower() for name in header]
    words = _column(header, WORD_COLUMNS)
    if words is None:
        raise UserError(
            f"--words={path}: no column is called {', '.join(WORD_COLUMNS)}; its "
            f"header is {', '.join(header)}"
        )
    categories = _column(header, CATEGORY_COLUMNS)

    def entry(row):
        return row[words], None if categories is None else row[categories].strip()

    longest = max(words, categories or 0)
    return _entries((entry(row) for row in rows if len(row) > longest), path)


def read_lines(path: Path, flag: str) -> list[str]:
    """The lines of a text file that are not blank.

    Raises:
        UserError: it cannot be read, or is not UTF-8.
    """
    check_file(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise_system_fault(error, path)
        raise UserError(f"{flag}={path}: cannot be read ({error.strerror})") from None
    except UnicodeDecodeError:
        raise UserError(f"{flag}={path}: not a text file in UTF-8") from None
    return [line for line in text.splitlines() if line.strip()]


def _column(header: list[str], names: Iterable[str]) -> int | None:
    return next((header.index(name) for name in names if name in header), None)


def _entries(rows, path) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for given, category in rows:
        for word in given.split("/"):
            if normal(word):
                found.setdefault(normal(word), category or None)
    if not found:
        raise UserError(f"--words={path}: holds no word")
    return found


def learn(lines: Iterable[str]) -> dict[str, np.ndarray]:
    """Vectors of the words of a text, f64[D] of length 1 each.

    Args:
        lines: utterances; words of two of them are never neighbours.

    Raises:
        UserError: fewer than three words occur twice.
    """
    texts = [_WORD.findall(line.lower()) for line in lines]
    counts = collections.Counter(word for text in texts for word in text)
    common = [word for word, n in counts.most_common(MAX_WORDS) if n >= MIN_COUNT]
    if len(common) < 3:
        raise UserError(
            f"the text has {len(common)} words that occur twice; too few for word "
            "vectors: give more text, or --vectors=FILE"
        )
    place = {word: index for index, word in enumerate(common)}
    pairs = collections.Counter(
        (place[a], place[b])
        for text in texts
        for i, a in enumerate(text)
        for b in text[max(i - WINDOW, 0) : i] + text[i + 1 : i + 1 + WINDOW]
        if a in place and b in place
    )
    return dict(zip(common, _reduced(pairs, len(common)), strict=True))


def _reduced(pairs: Mapping[tuple[int, int], int], size: int) -> np.ndarray:
    """f64[V, D], rows of length 1 (0 for a word without neighbours)."""
    rows, columns = np.array(sorted(pairs), int).reshape(-1, 2).T
    values = np.array([pairs[pair] for pair in sorted(pairs)], float)
    counts = scipy.sparse.csr_matrix((values, (rows, columns)), (size, size))
    totals = np.asarray(counts.sum(axis=1)).ravel()
    mutual = np.log(values * totals.sum() / (totals[rows] * totals[columns]))
    positive = scipy.sparse.csr_matrix((mutual.clip(0), (rows, columns)), (size, size))
    left, strength = _largest(positive, min(NUM_DIMENSIONS, size - 1))
    vectors = left * np.sqrt(strength)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 1e-9, length, 1)


def _largest(matrix, rank: int) -> tuple[np.ndarray, np.ndarray]:
    """Left singular vectors f64[V, D] and values f64[D], the largest first.

    Source: Halko, Martinsson & Tropp, Finding Structure with Randomness, 2011; as the
    dice are always the same, so is the result.
    """
    size = matrix.shape[0]
    start = np.random.default_rng(0).normal(size=(size, min(rank + OVERSAMPLED, size)))
    basis = np.linalg.qr(matrix @ start)[0]
    for _ in range(POWER_STEPS):
        basis = np.linalg.qr(matrix @ (matrix.T @ basis))[0]
    left, strength, _ = np.linalg.svd(basis.T @ matrix, full_matrices=False)
    return (basis @ left)[:, :rank], strength[:rank]


def read_vectors(path: str | Path) -> dict[str, np.ndarray]:
    """Vectors of a text file: a word and its numbers a line, as word2vec and GloVe.

    Raises:
        UserError: the file cannot be read, or a line is none of that form.
    """
    found: dict[str, np.ndarray] = {}
    lines = read_lines(Path(path), "--vectors")
    for number, line in enumerate(lines):
        word, *numbers = line.split()
        if number == 0 and len(numbers) == 1:
            continue  # word2vec's header: how many words, how many numbers
        try:
            vector = np.array(numbers, float)
        except ValueError:
            vector = np.zeros(0)
        size = len(next(iter(found.values()), vector))
        if not len(vector) or len(vector) != size or not np.isfinite(vector).all():
            raise UserError(
                f"--vectors={path}: line {number + 1} is no word and {size or 'some'}"
                " numbers"
            )
        found[word.lower()] = vector / max(np.linalg.norm(vector), 1e-9)
    return found


def of_word(word: str, vectors: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Vector of a word, or the mean of its parts' (`toy cup`); None if none is so."""
    parts = [vectors[part] for part in normal(word).split() if part in vectors]
    return np.mean(parts, axis=0) if parts else None


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
            one, other = (of_word(word, self.vectors) for word in (a, b))
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


def vocabulary(
    words: str | None,
    given_vectors: str | None,
    text: str | None,
    sounds: str | None,
    corpus: str | None,
) -> Vocabulary | None:
    """Reads the files; None where no list of words is given.

    Args:
        words: file of the list.
        given_vectors: file of word vectors; None: they are learnt from the text.
        text: file of utterances; None: the train split of `corpus`, if there is one.
        sounds: file of pronunciations; None: words are heard as they are spelt.
        corpus: folder of a raw corpus, or None.

    Raises:
        UserError: a file is not what it should be, or is given without a list.
    """
    if words is None:
        if given_vectors or text or sounds:
            raise UserError(
                "--vectors, --text and --pronunciations are of use with --words=FILE "
                "only"
            )
        return None
    listed = read_words(words)
    lines = []
    if text is not None:
        lines = read_lines(Path(text), "--text")
    elif corpus is not None and given_vectors is None:
        lines = _utterances(corpus)
    if given_vectors is not None:
        known = read_vectors(given_vectors)
    else:
        known = learn(lines) if lines else {}
    needed = {part for word in listed for part in word.split()}
    return Vocabulary(
        words=listed,
        vectors={word: vector for word, vector in known.items() if word in needed},
        sounds={
            word: phonemes
            for word, phonemes in (read_sounds(sounds) if sounds else {}).items()
            if word in needed
        },
        fingerprint=_fingerprint([words, given_vectors, sounds], lines),
    )


def _fingerprint(files: Sequence[str | None], lines: Iterable[str]) -> str:
    digest = hashlib.sha256("\n".join(lines).encode())
    for path in files:
        digest.update(b"|" if path is None else Path(path).read_bytes())
    return digest.hexdigest()[:16]


def _utterances(root: str) -> list[str]:
    """What is said in the training recordings; one that cannot be read says nothing."""
    corpus = raw.read_corpus(root)
    lines = []
    for recording in corpus.recordings:
        path = corpus.transcript(recording.recording)
        if recording.split == "train" and path.exists():
            with contextlib.suppress(UserError):
                lines += [one.text for one in raw.read_transcript(path)[0]]
    return lines
