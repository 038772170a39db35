"""Lengths of records mixed as in the published joint phase, without the records."""

import numpy as np

# records, pictures of each: BabyVLM-V2 spec §1.2 and §1.5
CLIPS, FRAMES, EPISODES = 181, 768, 63
TOKENS_PER_IMAGE = 197
PICTURES_OF_A_CLIP = 8
ROUNDS = (4, 8)
# words of an utterance: median, mean and range of V1's transcripts, spec §3.6
MEDIAN_WORDS, MEAN_WORDS, FEWEST_WORDS, MOST_WORDS = 8, 9.3, 2, 48
ROLE_TOKENS = 4  # "user:" and "assistant:", two pieces each


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


def words(rng: np.random.Generator, count: int) -> np.ndarray:
    """i64[count] words of utterances."""
    sigma = np.sqrt(2 * np.log(MEAN_WORDS / MEDIAN_WORDS))
    drawn = np.rint(rng.lognormal(np.log(MEDIAN_WORDS), sigma, count))
    return np.clip(drawn, FEWEST_WORDS, MOST_WORDS).astype(np.int64)
