import numpy as np

from babyvlm_jax.data.images import encode_jpeg, preprocess
from data_prep.stages import scoring
from tests.data_prep import embedder
from tests.data_prep.coloured import picture


def _jpeg(level):
    return encode_jpeg(np.full((8, 8, 3), level, np.uint8))


def test_none_gives_no_scores():
    assert scoring.make_scorer("none") is None
    assert scoring.score_pairs(None, [(_jpeg(9), "a")]) is None


def test_scorer_sees_pictures_and_texts():
    def scorer(files, texts):
        levels = [preprocess(file, 8).mean() for file in files]
        return np.asarray(levels, np.float32) + [len(text) for text in texts]

    pairs = [(_jpeg(10), "a"), (_jpeg(200), "abc")]
    np.testing.assert_allclose(scoring.score_pairs(scorer, pairs), [11, 203], atol=1)
    assert scoring.score_pairs(scorer, []) == []


def test_an_embedder_scores_by_cosine_and_is_made_once(monkeypatch):
    made = []
    monkeypatch.setattr(
        embedder, "make", lambda path: made.append(path) or embedder.Colours(path)
    )
    spec = f"{embedder.SPEC}@some/file"
    assert scoring.is_scorer(spec)
    assert not scoring.is_scorer("unknown")
    scorer = scoring.make_scorer(spec)
    assert scoring.make_scorer(spec) is scorer
    assert made == ["some/file"]
    red, both = picture({"red": 1}), picture({"red": 0.5, "blue": 0.5})
    pairs = [(red, "red"), (red, "a red ball"), (both, "red"), (red, "blue")]
    half = 2**-0.5
    np.testing.assert_allclose(
        scoring.score_pairs(scorer, pairs), [1, half, half, 0], atol=0.01
    )
