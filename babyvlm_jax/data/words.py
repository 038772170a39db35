"""V1's word-level tokenizer: a list of words, and how text is cut into them.

The file is text: a first line with the settings, then one word a line, in the order of
the ids. `data.tokenizer` loads and trains them beside the BPE.
"""

import collections
import dataclasses
import hashlib
import json
import re
from collections.abc import Iterable, Sequence

from babyvlm_jax.runtime.errors import UserError

SPECIALS = ("<pad>", "<unk>", "<sos>", "<eos>")  # ids 0 to 3, as CVCL's
MAGIC = b"# words "
_PIECES = re.compile(r"\w+|[^\w\s]+")


@dataclasses.dataclass(frozen=True)
class WordSettings:
    """How text becomes words; the defaults are the clean form.

    The other values repeat what the original did, to read its checkpoints.

    Attributes:
        split: `blanks`, where the transcripts' tokens are, or `regex`, runs of letters
            and runs of punctuation: 69 of the published 2,350 words (clitics such as
            "n't") are then never produced.
        lower: fold case; else "Look" is unknown although "look" is not.
        unknown: `keep` words outside the list as <unk>, or `drop` them: the original's
            training did, because its padding was <unk> too and masked positions were
            removed. Its evaluation kept them.

    Source: the training code of BabyVLM V1 (arXiv 2504.09426).
    """

    split: str = "blanks"
    lower: bool = True
    unknown: str = "keep"

    def __post_init__(self):
        for field, known in (
            ("split", ("blanks", "regex")),
            ("unknown", ("keep", "drop")),
        ):
            if getattr(self, field) not in known:
                raise UserError(
                    f"word tokenizer: {field} is {getattr(self, field)!r}; expected "
                    f"one of {known}"
                )

    def words(self, text: str) -> list[str]:
        """Cuts text into words."""
        text = text.lower() if self.lower else text
        return _PIECES.findall(text) if self.split == "regex" else text.split()


class WordTokenizer:
    """Text <-> ids, one id a word.

    Attributes:
        vocab_size: number of ids, specials included.
        fingerprint: hex digest of the file.
        first_fingerprint: what the first edition stored with a checkpoint.
    """

    pad_id, unk_id, sos_id, eos_id = range(4)

    def __init__(self, model: bytes):
        """
        Args:
            model: the file's content.

        Raises:
            ValueError: it is no such file.
        """
        first, *words = model.decode().splitlines()
        if tuple(words[:4]) != SPECIALS:
            raise ValueError(f"its first words are {words[:4]}, expected {SPECIALS}")
        if len(set(words)) != len(words):
            raise ValueError("a word comes twice")
        self._settings = WordSettings(**json.loads(first.removeprefix(MAGIC.decode())))
        self._words = words
        # a special's name in a text is a word that nobody said
        self._ids = {word: i for i, word in enumerate(words) if i >= len(SPECIALS)}
        self.vocab_size = len(words)
        self.fingerprint = hashlib.sha256(model).hexdigest()[:16]
        self.first_fingerprint = self.fingerprint

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, without <sos> and <eos>."""
        ids = [self._ids.get(w, self.unk_id) for w in self._settings.words(text)]
        if self._settings.unknown == "drop":
            return [i for i in ids if i != self.unk_id]
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """Words of `ids` with blanks between; specials but <unk> leave no trace."""
        silent = (self.pad_id, self.sos_id, self.eos_id)
        return " ".join(self._words[int(i)] for i in ids if int(i) not in silent)

    def pieces(self, text: str) -> list[str]:
        """The words that `encode` names by id."""
        return [self._words[i] for i in self.encode(text)]


def train_words(
    texts: Iterable[str], min_count: int = 3, settings: WordSettings | None = None
) -> bytes:
    """Lists the words of a corpus, the most frequent first, ties by alphabet.

    Args:
        texts: the corpus, tokens with blanks between.
        min_count: rarer words are unknown.
        settings: how the texts and later ones are cut; by default the clean form.

    Returns:
        The tokenizer file.

    Raises:
        UserError: no word is that frequent.

    Source: CVCL (Vong et al., Science 2024), whose list BabyVLM V1 uses.
    """
    settings = settings or WordSettings()
    counts = collections.Counter(w for text in texts for w in settings.words(text))
    frequent = [
        word
        for word, count in counts.items()
        if count >= min_count and word not in SPECIALS
    ]
    if not frequent:
        raise UserError(
            f"no word of the corpus comes {min_count} times; give a smaller --min-count"
        )
    frequent.sort(key=lambda word: (-counts[word], word))
    first = MAGIC.decode() + json.dumps(dataclasses.asdict(settings), sort_keys=True)
    return "\n".join([first, *SPECIALS, *frequent, ""]).encode()
