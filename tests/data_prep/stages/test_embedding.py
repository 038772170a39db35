"""The plug point: names, batches of one size, and the check of what comes back."""

import numpy as np
import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.stages import embedding
from data_prep.stages.embedding import Batches, embedder_facts, make_embedder
from tests.data_prep import embedder
from tests.data_prep.coloured import picture


def test_a_registered_name_is_imported_when_it_is_asked_for(monkeypatch):
    monkeypatch.setitem(embedding.EMBEDDERS, "colours", embedder.SPEC)
    found = make_embedder("colours@a@b")
    assert isinstance(found, embedder.Colours)
    assert found.checkpoint == "a@b"
    assert make_embedder("colours").checkpoint == ""


@pytest.mark.parametrize(
    ("spec", "said"),
    [
        ("nothing", "no embedder 'nothing'"),
        ("no.such.module:make", "No module named"),
        ("tests.data_prep.embedder:nothing", "has no attribute"),
        (":make", "check module:attribute"),
    ],
)
def test_what_is_not_there_is_said(spec, said):
    with pytest.raises(UserError, match=said):
        make_embedder(spec)


def test_facts_follow_the_files_of_a_checkpoint(tmp_path):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "a").write_bytes(b"1")
    first = embedder_facts(f"clip@{tmp_path}")
    assert (first["embedder"], first["checkpoint"]) == ("clip", str(tmp_path))
    assert embedder_facts(f"clip@{tmp_path}") == first
    (tmp_path / "inner" / "a").rename(tmp_path / "inner" / "b")
    assert embedder_facts(f"clip@{tmp_path}")["weights"] != first["weights"]
    single = embedder_facts(f"clip@{tmp_path / 'inner' / 'b'}")
    assert single["weights"] != first["weights"]
    assert embedder_facts("clip")["weights"] == ""
    assert embedder_facts("clip@some-name")["weights"] == ""


def test_equal_texts_are_embedded_once_in_batches_of_one_size():
    ours = embedder.Colours()
    texts = ["red", "blue", "red", "red ball", "green", "blue"]
    found = Batches(ours, 16, 3).texts(texts)
    assert ours.text_batches == [3, 3]
    np.testing.assert_allclose(found, embedder.Colours().text_embeddings(texts))


def test_pictures_keep_their_order_and_proportions():
    files = [picture({"red": 1}), picture({"blue": 1}), picture({"green": 1}, side=24)]
    ours = embedder.Colours()
    found = Batches(ours, 16, 2).pictures(files)
    assert ours.image_batches == [2, 2]
    names = list(embedder.COLOURS)
    assert [names[i] for i in found.argmax(1)] == ["red", "blue", "green"]


@pytest.mark.parametrize(
    ("gives", "said"),
    [
        (np.ones((2, 4), np.float32), "norm 2 to 2"),
        (np.full((2, 4), np.nan, np.float32), "norm nan"),
        (np.ones((3, 1), np.float32), "gave .3, 1. for 2 items"),
        (np.ones(2, np.float32), "gave .2,. for 2 items"),
    ],
)
def test_vectors_of_another_form_are_refused(gives, said):
    class Odd(embedder.Colours):
        def text_embeddings(self, texts):
            return gives

    with pytest.raises(UserError, match=said):
        Batches(Odd(), 16, 2).texts(["a", "b"])
