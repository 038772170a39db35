"""Made-up batches of the real shapes: what a step costs when no data is read."""

import numpy as np

from babyvlm_jax.data.config import Batch, DataConfig
from babyvlm_jax.data.conversation import Encoded
from babyvlm_jax.data.pairs import lay_texts
from babyvlm_jax.data.rows import Example, collate
from babyvlm_jax.data.seeds import generator
from babyvlm_jax.data.tokenizer import EOS_ID, SOS_ID


def synthetic_rows(cfg: DataConfig, num_rows: int, vocab_size: int) -> Batch:
    """Full rows of records that are a picture (if rows have any) and random words.

    Args:
        cfg: sizes of a row, and the seed.
        num_rows: of this process.
        vocab_size: ids are below it.

    Returns:
        The row contract; every word and <eos> is supervised.
    """
    rng = generator(cfg.seed, 0, "synthetic")
    records = max(cfg.max_images, 1)
    length = cfg.seq_len // records
    pictures = int(cfg.max_images > 0 and length > cfg.tokens_per_image + 1)

    def example() -> Example:
        visual = np.arange(pictures * cfg.tokens_per_image)
        words = rng.integers(EOS_ID + 1, vocab_size, length - len(visual) - 1)
        ids = np.concatenate([[SOS_ID], 0 * visual, words, [EOS_ID]]).astype(np.int32)
        index = np.full(length, -1, np.int32)
        index[1 : len(visual) + 1] = visual
        mask = np.arange(length) >= len(visual)
        encoded = Encoded("synthetic", ids[:-1], ids[1:], mask, index, ())
        return Example(encoded, _noise(rng, pictures, cfg.image_size))

    rows = [[example() for _ in range(records)] for _ in range(num_rows)]
    return collate(rows, cfg.row_shape)


def synthetic_frames(cfg: DataConfig, num_rows: int) -> Batch:
    """{"images": u8[num_rows, H, W, 3]} of noise."""
    rng = generator(cfg.seed, 0, "synthetic")
    return {"images": _noise(rng, num_rows, cfg.image_size)}


def synthetic_pairs(cfg: DataConfig, num_rows: int, vocab_size: int) -> Batch:
    """Pictures of noise with texts of random words that fill their rows."""
    rng = generator(cfg.seed, 0, "synthetic")
    words = rng.integers(EOS_ID + 1, vocab_size, (num_rows, cfg.seq_len))
    tokens, mask = lay_texts(words.tolist(), cfg.seq_len)
    return {
        "images": _noise(rng, num_rows, cfg.image_size),
        "tokens": tokens,
        "text_mask": mask,
        "valid": np.ones(num_rows, bool),
    }


def _noise(rng, count, side):
    return rng.integers(0, 256, (count, side, side, 3), np.uint8)
