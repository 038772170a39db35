"""How like a reference a caption is: METEOR and BLEU.

`meteor_exact` matches equal words only and needs no library. With the extra `captions`
(NLTK) there are `meteor`, which matches stems too, and `bleu`; with NLTK's WordNet data
there is `meteor_wordnet`, which matches synonyms too and is what V1 published.
"""

import collections
import functools
import hashlib
import itertools
import re
import types
from collections.abc import Callable, Mapping, Sequence

from babyvlm_jax.data.schema import ASSISTANT, Record
from babyvlm_jax.evals.tasks import CAPTION, Task

# What METEOR's authors chose for English, and NLTK's defaults
ALPHA, BETA, GAMMA = 0.9, 3.0, 0.5
OTHERS = 8  # ours: items whose references a caption's chance is taken from
# what the conventions of the Penn Treebank split off a word, and words that they halve
_CLITIC = r"'(?:s|m|d|t|n|ll|re|ve|ye)\b"
_JOINED = r"(?:can(?=not\b)|(?:gim|lem)(?=me\b)|(?:gon|wan)(?=na\b)|got(?=ta\b))"
_TOKENS = re.compile(
    rf"""
    \.{{2,}} | -{{2,}} | `` | ''
    | \b{_JOINED} | \w+?(?=n't\b) | n't\b | {_CLITIC}
    | \w+ (?: [-/.]\w+ | (?!{_CLITIC})'\w+ | [,:](?=\d)\w+ )*
    | \S
    """,
    re.VERBOSE,
)


def tokens(text: str) -> list[str]:
    """Words in lower case, as the published METEOR splits them.

    "Don't, it's the dogs' ..." -> do n't , it 's the dogs ' ...

    These are the conventions of the Penn Treebank, as in NLTK's `word_tokenize`. Two
    things differ: the full stop of an abbreviation is a token, and `"` stays as it is.

    Source: BabyVLM (V1), whose captions and references go through `word_tokenize`.
    """
    return _TOKENS.findall(text.lower())


def meteor_exact(reference: Sequence[str], hypothesis: Sequence[str]) -> float:
    """METEOR that matches equal tokens only.

    Reference `a b c`, hypothesis `a b d`: two matches in one chunk, precision and
    recall 2/3, so 2/3 (1 - 0.5 (1/2)^3) = 0.625. Of a token that comes several times,
    the last ones are matched first, as NLTK does.

    Args:
        reference, hypothesis: tokens.

    Source: Banerjee and Lavie 2005; the parameters are NLTK's.
    """
    places = collections.defaultdict(list)
    for place, token in enumerate(reference):
        places[token].append(place)
    pairs = []
    for place in reversed(range(len(hypothesis))):
        if places[hypothesis[place]]:
            pairs.append((place, places[hypothesis[place]].pop()))
    if not pairs:
        return 0.0
    precision, recall = len(pairs) / len(hypothesis), len(pairs) / len(reference)
    mean = precision * recall / (ALPHA * precision + (1 - ALPHA) * recall)
    runs = itertools.pairwise(sorted(pairs))
    chunks = 1 + sum((c - a, d - b) != (1, 1) for (a, b), (c, d) in runs)
    return mean * (1 - GAMMA * (chunks / len(pairs)) ** BETA)


@functools.cache
def _library() -> Mapping[str, Callable[[list[str], list[str]], float]]:
    """The metrics that NLTK offers here: name -> function of two lists of tokens."""
    try:
        from nltk.corpus import wordnet
        from nltk.stem.porter import PorterStemmer
        from nltk.translate import bleu_score, meteor_score
    except ImportError:
        return {}
    stemmer, smooth = PorterStemmer(), bleu_score.SmoothingFunction().method1

    def meteor(synonyms):
        return lambda reference, hypothesis: meteor_score.meteor_score(
            [reference], hypothesis, stemmer=stemmer, wordnet=synonyms
        )

    def bleu(reference, hypothesis):
        return bleu_score.sentence_bleu(
            [reference], hypothesis, smoothing_function=smooth
        )

    no_word_means_anything = types.SimpleNamespace(synsets=lambda word: ())
    found = {"meteor": meteor(no_word_means_anything), "bleu": bleu}
    try:
        wordnet.synsets("cat")
    except LookupError:  # the data are not there, and are not fetched
        return found
    return found | {"meteor_wordnet": meteor(wordnet)}


def metrics(reference: str, hypothesis: str) -> dict[str, float]:
    """Every metric that can be had: `meteor_exact`, and the library's.

    BLEU is of the sentence, up to four words long, smoothed by a tenth of a match where
    a length has none (method 1 of Chen and Cherry 2014).

    Args:
        reference: what was said.
        hypothesis: what the model wrote; an empty text scores 0.
    """
    said, wrote = tokens(reference), tokens(hypothesis)
    library = _library()
    if not wrote:
        return dict.fromkeys(("meteor_exact", *library), 0.0)
    found = {"meteor_exact": meteor_exact(said, wrote)}
    return found | {name: float(score(said, wrote)) for name, score in library.items()}


def chances(task: Task, records: Sequence[Record]) -> dict[str, dict[str, float]]:
    """What sensible captions of other images score, on average, for each item.

    Args:
        task: none is computed for tasks whose answers are no captions.
        records: items whose only answer is the reference.

    Returns:
        Id of an item -> metric -> mean over the references of the `OTHERS` items that
        follow in the order of a hash of their ids; 0 where there is no other item.
    """
    if task.answer != CAPTION:
        return {}
    order = sorted(records, key=lambda r: hashlib.sha256(r.id.encode()).hexdigest())
    texts = [next(t for role, t in r.turns if role == ASSISTANT) for r in order]
    count = min(OTHERS, len(order) - 1)
    found = {}
    for place, record in enumerate(order):
        others = [texts[(place + step) % len(texts)] for step in range(1, count + 1)]
        scored = [metrics(texts[place], other) for other in others]
        names = scored[0] if scored else metrics(texts[place], "")
        found[record.id] = {
            name: sum(one[name] for one in scored) / max(count, 1) for name in names
        }
    return found
