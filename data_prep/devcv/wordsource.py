"""The vocabulary that the flags of `build` describe."""

import contextlib
import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from babyvlm_jax.runtime.errors import UserError
from data_prep import raw
from data_prep.devcv import vectors
from data_prep.devcv.vocabulary import Vocabulary, read_sounds
from data_prep.devcv.wordlist import read_lines, read_words


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
        known = vectors.read_vectors(given_vectors)
    else:
        known = vectors.learn(lines) if lines else {}
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
