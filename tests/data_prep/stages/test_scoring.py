import numpy as np

from babyvlm_jax.data.images import encode_jpeg
from data_prep.stages import scoring


def _jpeg(level):
    return encode_jpeg(np.full((8, 8, 3), level, np.uint8))


def test_none_gives_no_scores():
    assert scoring.make_scorer("none") is None
    assert scoring.score_pairs(None, [(_jpeg(9), "a")]) is None


def test_scorer_sees_pictures_and_texts():
    def scorer(images, texts):
        return np.asarray(
            [i.mean() + len(t) for i, t in zip(images, texts, strict=True)], np.float32
        )

    pairs = [(_jpeg(10), "a"), (_jpeg(200), "abc")]
    np.testing.assert_allclose(scoring.score_pairs(scorer, pairs), [11, 203], atol=1)
    assert scoring.score_pairs(scorer, []) == []
