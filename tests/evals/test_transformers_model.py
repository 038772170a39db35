"""An exported checkpoint, opened by transformers, answers and scores as ours does."""

import jax
import numpy as np
import pytest

from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.evals.predictors import TransformersPredictor
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint
from tests import tiny
from tests.evals.fakes import picture
from tests.interchange.workdirs import make_workdir

pytestmark = pytest.mark.torch
NUM_NEW = 4


def dialogue(number, rounds):
    turns, images = [], []
    for k in range(rounds):
        images += [picture(40 * number + 9 * k), picture(40 * number)][: 1 + (k > 0)]
        marks = "(a) <image> (b) <image>" if k else "(a) <image>"
        turns += [("human", f"look at the dog {marks}"), ("assistant", "a")]
    return Record(f"d{number}", "eval/memory", tuple(images), tuple(turns))


ITEMS = [dialogue(0, 1), dialogue(1, 3)]
CHOICES = [[("a", "b", "the red ball")] * rounds for rounds in (1, 3)]


def ours(workdir):
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        model, params, _ = checkpoint.load_model(workdir, mesh)
        words = Tokenizer.load(workdir / "tokenizer.model")
        reader = Reader(model, params, words, "baby_v1", 1, 8, 2, (64, 128), mesh)
        return CheckpointPredictor(reader, NUM_NEW).answer(ITEMS, CHOICES)


def test_answers_and_likelihoods_are_ours(tmp_path):
    pytest.importorskip("transformers")
    workdir = make_workdir(tmp_path, "nursery")
    export(ExportConfig(str(workdir), str(tmp_path / "theirs")))
    theirs = TransformersPredictor(str(tmp_path / "theirs"), NUM_NEW)
    replies, likelihoods = theirs.answer(ITEMS, CHOICES)
    our_replies, our_likelihoods = ours(workdir)
    # We spell <unk> as sentencepiece does; transformers leaves it out.
    assert replies[0][0].split() == our_replies[0][0].replace("\u2047", "").split()
    for found, expected in zip(likelihoods, our_likelihoods, strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4)  # f32, other sums


def test_a_folder_that_is_no_model(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match=r"config\.transformers="):
        TransformersPredictor(str(tmp_path))
