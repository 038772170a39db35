"""Lengths of records mixed as in the published phases, without the records."""

import numpy as np

# records, images of each: BabyVLM-V2 (arXiv 2512.10932)
CLIPS, FRAMES, EPISODES = 181, 768, 63
TOKENS_PER_IMAGE = 197
PICTURES_OF_A_CLIP = 8
ROUNDS = (4, 8)
# words of an utterance: median, mean and range of V1's transcripts
MEDIAN_WORDS, MEAN_WORDS, FEWEST_WORDS, MOST_WORDS = 8, 9.3, 2, 48
ROLE_TOKENS = 4  # "user:" and "assistant:", two pieces each
# Task -> (records, fewest and most pictures, words of a round's prompt and answer,
# rounds): the released DevCV items; a mark such as "(A)" counts as a word
TUNED = {
    "count": (13_695, 1, 1, 8, 1),
    "memory": (12_000, 29, 29, 10, 15),
    "vdr_binary": (2_584, 5, 10, 28, 1),
    "vdr_open": (2_584, 5, 10, 31, 1),
    "localize": (12_250, 1, 1, 27, 1),
    "leftright": (12_250, 4, 4, 17, 1),
    "picture_vocabulary": (22_426, 4, 4, 23, 1),
    "spatialdetails": (11_818, 4, 4, 21, 1),
    "compare_synthetic": (11_200, 2, 2, 11, 1),
    "compare_real": (12_404, 2, 2, 10, 1),
}


def lengths(num_records: int, seed: int = 0) -> np.ndarray:
    """i32[N, 2] tokens and pictures of clips, frames and episodes as 181 : 768 : 63.

    A word counts as one token. Every answer but the last brings its <eos> as input;
    the record brings one <sos>.
    """
    rng = np.random.default_rng(seed)
    share = np.array([CLIPS, FRAMES, EPISODES]) / (CLIPS + FRAMES + EPISODES)
    kind = rng.choice(3, num_records, p=share)
    rounds = np.where(kind == 2, rng.integers(ROUNDS[0], ROUNDS[1] + 1, len(kind)), 1)
    pictures = np.where(kind == 0, PICTURES_OF_A_CLIP, rounds)
    said = np.add.reduceat(words(rng, rounds.sum()), np.cumsum(rounds) - rounds)
    text = said + rounds * (ROLE_TOKENS + 1)
    return np.stack([text + pictures * TOKENS_PER_IMAGE, pictures], 1).astype(np.int32)


def tuned_lengths(seed: int = 0) -> np.ndarray:
    """i32[N, 2] tokens and pictures of the instruct phase, all tasks once through.

    A word counts as one token.
    """
    rng = np.random.default_rng(seed)
    found = []
    for records, fewest, most, said, rounds in TUNED.values():
        pictures = rng.integers(fewest, most + 1, records)
        text = rounds * (said + ROLE_TOKENS + 1)
        found.append(np.stack([text + pictures * TOKENS_PER_IMAGE, pictures], 1))
    return np.concatenate(found).astype(np.int32)


def words(rng: np.random.Generator, count: int) -> np.ndarray:
    """i64[count] words of utterances."""
    sigma = np.sqrt(2 * np.log(MEAN_WORDS / MEDIAN_WORDS))
    drawn = np.rint(rng.lognormal(np.log(MEDIAN_WORDS), sigma, count))
    return np.clip(drawn, FEWEST_WORDS, MOST_WORDS).astype(np.int64)
