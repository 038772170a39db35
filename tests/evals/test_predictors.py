"""Predictors: files of answers, image-text models, models of transformers."""

import json

import jax
import numpy as np
import pytest

from babyvlm_jax.data.schema import Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals import predictors
from babyvlm_jax.evals.asking import match
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.evals.predictors import (
    PredictionsFile,
    SimilarityPredictor,
    TransformersPredictor,
)
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import checkpoint
from tests import tiny
from tests.evals import v1_samples
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, memory
from tests.interchange.workdirs import make_workdir

COUNT, LOCALIZE = ITEMS["count"], ITEMS["localize"]


def write(tmp_path, *lines):
    path = tmp_path / "answers.jsonl"
    path.write_text("\n".join(json.dumps(line) for line in lines) + "\n")
    return PredictionsFile(str(path))


def test_outputs_come_as_they_are(tmp_path):
    file = write(
        tmp_path,
        {"id": "count0", "output": " Seven.\n"},
        {"task": "memory", "id": "memory0", "outputs": ["a"] * 6},
    )
    assert file.generate([memory(6), COUNT]) == [["a"] * 6, [" Seven.\n"]]


def test_a_line_that_names_its_task_comes_first(tmp_path):
    file = write(
        tmp_path,
        {"id": "count0", "output": "1"},
        {"id": "count0", "task": "count", "output": "2"},
    )
    assert file.generate([COUNT]) == [["2"]]


def test_likelihoods(tmp_path):
    likelihoods = {"A": -1.0, "D": -0.5}
    file = write(
        tmp_path, {"id": "localize0", "output": "D", "likelihoods": likelihoods}
    )
    ((found,),) = file.score([LOCALIZE], [[("A", "B", "D")]])
    assert found.tolist() == [-1.0, -np.inf, -0.5]


def test_what_is_missing_is_said(tmp_path):
    file = write(
        tmp_path,
        {"id": "count0", "output": "2"},
        {"id": "memory0", "outputs": ["a"] * 5},
    )
    assert file.problem(COUNT, needs_likelihoods=False) is None
    assert "has no likelihoods" in file.problem(COUNT, needs_likelihoods=True)
    assert "no answer to it" in file.problem(LOCALIZE, False)
    assert "5 answers for 6 rounds" in file.problem(memory(6), False)


def test_unknown_ids(tmp_path):
    file = write(
        tmp_path,
        {"id": "a", "task": "count", "output": "2"},
        {"id": "b", "task": "count", "output": "2"},
        {"id": "b", "task": "lwl", "output": "2"},  # not evaluated: not judged
        {"id": "c", "output": "2"},
        {"id": "d", "output": "2"},
    )
    assert file.unknown({"count": ["a", "c"]}) == [("count", "b"), ("", "d")]


@pytest.mark.parametrize(
    "line", ["{", "[]", '{"id": "a"}', '{"output": "a"}', '{"id": "a", "output": 3}']
)
def test_lines_in_another_form_are_named(tmp_path, line):
    path = tmp_path / "answers.jsonl"
    path.write_text('{"id": "x", "output": "1"}\n\n' + line)
    with pytest.raises(UserError, match=r"jsonl, line 3 is .*expected a JSON object"):
        PredictionsFile(str(path))


def test_two_answers_to_an_item(tmp_path):
    line = {"id": "a", "output": "1"}
    with pytest.raises(UserError, match="line 2: a second answer to 'a'"):
        write(tmp_path, line, line)


def test_no_file(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        PredictionsFile(str(tmp_path / "none"))


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
    with pytest.raises(UserError, match=r"4 images and 1 questions.*'match'"):
        predictor.score([ITEMS["leftright"]], [[("A",)]])


NUM_NEW = 4


def dialogue(number, rounds):
    turns, images = [], []
    for k in range(rounds):
        images += [picture(40 * number + 9 * k), picture(40 * number)][: 1 + (k > 0)]
        marks = "(a) <image> (b) <image>" if k else "(a) <image>"
        turns += [("human", f"look at the dog {marks}"), ("assistant", "a")]
    return Record(f"d{number}", "eval/memory", tuple(images), tuple(turns))


DIALOGUES = [dialogue(0, 1), dialogue(1, 3)]
CHOICES = [[("a", "b", "the red ball")] * rounds for rounds in (1, 3)]


def ours(workdir):
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        model, params, _ = checkpoint.load_model(workdir, mesh)
        words = Tokenizer.load(workdir / "tokenizer.model")
        reader = Reader(model, params, words, "baby_v1", 1, 8, 2, (64, 128), mesh)
        return CheckpointPredictor(reader, NUM_NEW).answer(DIALOGUES, CHOICES)


@pytest.mark.torch
def test_answers_and_likelihoods_are_ours(tmp_path):
    pytest.importorskip("transformers")
    workdir = make_workdir(tmp_path, "nursery")
    export(ExportConfig(str(workdir), str(tmp_path / "theirs")))
    theirs = TransformersPredictor(str(tmp_path / "theirs"), NUM_NEW)
    replies, likelihoods = theirs.answer(DIALOGUES, CHOICES)
    our_replies, our_likelihoods = ours(workdir)
    # We spell <unk> as sentencepiece does; transformers leaves it out.
    assert replies[0][0].split() == our_replies[0][0].replace("\u2047", "").split()
    for found, expected in zip(likelihoods, our_likelihoods, strict=True):
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-4)  # f32, other sums


@pytest.mark.torch
def test_a_folder_that_is_no_model(tmp_path):
    pytest.importorskip("transformers")
    with pytest.raises(UserError, match=r"config\.transformers="):
        TransformersPredictor(str(tmp_path))
