"""An image-text model as one who answers."""

import numpy as np
import pytest

from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals import predictors
from babyvlm_jax.evals.asking import match
from babyvlm_jax.evals.predictors import SimilarityPredictor
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from tests.evals import v1_samples
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS


class Towers:
    """Embeds a grey value and a number word as angles."""

    def __init__(self):
        self.batches = []

    def image_embeddings(self, images):
        assert images.dtype == np.uint8
        assert images.shape[1:] == (8, 8, 3)
        self.batches.append(len(images))
        return self._on_circle(images[:, 0, 0, 0].astype(np.float32))

    def text_embeddings(self, texts):
        assert isinstance(texts, list)
        return self._on_circle(np.array([float(len(text)) for text in texts]))

    def _on_circle(self, angles):
        return np.stack([np.cos(angles / 50), np.sin(angles / 50)], 1, dtype=np.float32)


def test_each_text_under_its_picture(monkeypatch):
    monkeypatch.setattr(predictors, "EMBEDDED", 2)
    items = [
        Record(f"i{k}", "eval/x", (picture(g),), (("human", "<image>"),))
        for k, g in enumerate((3, 9, 3, 5))
    ]
    choices = [[("abc", "abcde")]] * 4
    towers = Towers()
    predictor = SimilarityPredictor(towers, 8)
    scores = predictor.score(items, choices)
    assert [int(np.argmax(one[0])) for one in scores] == [0, 1, 0, 1]
    assert scores[1][0] == pytest.approx(np.cos([6 / 50, 4 / 50]))
    assert towers.batches == [2, 1]  # a picture that comes twice is embedded once


def test_it_answers_the_choice_tests():
    item = v1_samples.labeled_s(0)  # greys 0, 9, 18, 27 in some order; "ball" is 4
    predictor = SimilarityPredictor(Towers(), 8)
    (said,) = match(predictor, TASKS["labeled_s"], [item], [item], "random")
    nearest = item.images.index(picture(0))
    assert said.replies == ["ABCD"[nearest]]


def test_it_says_what_it_cannot_do():
    predictor = SimilarityPredictor(Towers(), 8, "CVCL")
    with pytest.raises(UserError, match=r"CVCL compares.*writes nothing.*caption"):
        predictor.generate([v1_samples.caption()])
    with pytest.raises(UserError, match=r"4 pictures and 1 questions.*'match'"):
        predictor.score([ITEMS["leftright"]], [[("A",)]])
