"""The model class for lmms-eval answers as our evaluator, through its interface.

Its requests are played by a record with `args`. Where lmms-eval is installed, its own
command runs the bundle too, on two tasks of files.
"""

import dataclasses
import importlib.util
import io
import json
import os
import subprocess
import sys
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.engine import CheckpointPredictor
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.interchange.exporting import ExportConfig, export
from babyvlm_jax.training import checkpoint
from tests import tiny
from tests.interchange.workdirs import make_workdir

pytestmark = pytest.mark.torch
NUM_TOKENS = 5
ONE = "Touch the new image. (A) <image>"
TWO = "look! (A) <image> (B) <image>"


def png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


QUESTIONS = [
    Record("q0", "x", (png(0),), ((HUMAN, "<image>\nwhere is it?"), (ASSISTANT, "a"))),
    Record("q1", "x", (png(1), png(2)), ((HUMAN, TWO), (ASSISTANT, "the ball"))),
    Record("q2", "x", (), ((HUMAN, "look at the dog"), (ASSISTANT, "a dog"))),
]
DIALOGUE = Record(
    "d",
    "x",
    tuple(map(png, range(3, 8))),
    ((HUMAN, ONE), (ASSISTANT, "a"), (HUMAN, TWO), (ASSISTANT, "b"), (HUMAN, TWO)),
)


@pytest.fixture(scope="module")
def workdir(tmp_path_factory):
    return make_workdir(tmp_path_factory.mktemp("lmms"), "nursery")


@pytest.fixture(scope="module")
def theirs(workdir):
    pytest.importorskip("transformers")
    folder = workdir.parent / "bundle"
    export(ExportConfig(str(workdir), str(folder), "lmms-eval"))
    spec = importlib.util.spec_from_file_location("model", folder / "model.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    model = module.BabyVLM(str(folder / "hf"), batch_size=2, device="cpu")
    documents = dict(enumerate([*QUESTIONS, document(DIALOGUE)]))
    model.task_dict = {"task": {"test": documents}}
    return model


@pytest.fixture
def ours(workdir):
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        model, params, _ = checkpoint.load_model(workdir, mesh)
        words = Tokenizer.load(workdir / "tokenizer.model")
        options = {"batch_size": 1, "buckets": (128,), "mesh": mesh}
        reader = Reader(model, params, words, "baby_v1", 1, 8, **options)
        yield CheckpointPredictor(reader, NUM_TOKENS, normalize=True)


def document(record):
    said = [
        {"from": "human" if role == HUMAN else "gpt", "value": text}
        for role, text in record.turns
    ]
    images = [Image.open(io.BytesIO(image)) for image in record.images]
    return {"image": images, "conversations": said}


def pictures(record):
    return [Image.open(io.BytesIO(image)) for image in record.images]


def words_of(answers):
    return [answer.replace("\u2047", "").split() for answer in answers]


def test_questions_in_batches(ours, theirs):
    options = {"max_new_tokens": NUM_TOKENS}
    requests = [
        SimpleNamespace(
            args=(
                # without marks, pictures and a line break are put in front
                record.turns[0][1].removeprefix("<image>\n"),
                options,
                pictures,
                number,
                "task",
                "test",
            )
        )
        for number, record in enumerate(QUESTIONS)
    ]
    said = [replies[0] for replies in ours.generate(QUESTIONS)]
    assert words_of(theirs.generate_until(requests)) == words_of(said)
    assert "".join(said)


def test_dialogues(ours, theirs):
    ((first, *said),) = ours.generate([DIALOGUE])
    args = ("", {"max_new_tokens": NUM_TOKENS}, None, None, 3, "task", "test")
    (found,) = theirs.generate_until_multi_round([SimpleNamespace(args=args)])
    found = json.loads(found)
    assert len(found) == 3
    assert words_of(found[:1]) == words_of([first])
    if "\u2047" not in first:  # an <unk> in the history is spelt otherwise
        assert words_of(found) == words_of([first, *said])


def test_dialogues_held_together_are_those_held_alone(theirs):
    """Three in batches of two, of unequal length."""
    first = {"images": DIALOGUE.images[:3], "turns": DIALOGUE.turns[:3]}
    short = dataclasses.replace(DIALOGUE, **first)
    other = dataclasses.replace(DIALOGUE, images=tuple(map(png, range(10, 15))))
    held = [document(one) for one in (short, DIALOGUE, other)]
    theirs.task_dict["more"] = {"test": dict(enumerate(held))}
    options = {"max_new_tokens": NUM_TOKENS}
    requests = [
        SimpleNamespace(args=("", options, None, None, number, "more", "test"))
        for number in range(len(held))
    ]
    together = theirs.generate_until_multi_round(requests)
    alone = [theirs.generate_until_multi_round([one])[0] for one in requests]
    assert together == alone
    assert [len(json.loads(said)) for said in together] == [2, 3, 3]


def test_likelihoods(ours, theirs):
    requests = [
        SimpleNamespace(
            args=(
                record.turns[0][1],
                record.turns[1][1],
                pictures,
                number,
                "task",
                "test",
            )
        )
        for number, record in enumerate(QUESTIONS)
    ]
    found = [loss for loss, _ in theirs.loglikelihood(requests)]
    choices = [[(record.turns[1][1],)] for record in QUESTIONS]
    expected = [-rounds[0][0] for rounds in ours.score(QUESTIONS, choices)]
    np.testing.assert_allclose(found, expected, rtol=1e-4)  # f32, another order of sums


def test_what_is_not_known_is_refused(theirs):
    with pytest.raises(ValueError, match="expected one of"):
        type(theirs)("x", conv_template="llama_3")


UTILS = """
from PIL import Image


def visual(doc):
    return [Image.open(path).convert("RGB") for path in doc["image"]]


def text(doc, lmms_eval_specific_kwargs=None):
    return doc["conversations"][0]["value"]


def score(doc, results):
    return {"said": float(bool(results[0]))}


def mean(values):
    return sum(values) / len(values)
"""
TASK = """
task: {name}
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
test_split: test
output_type: {kind}
doc_to_visual: !function utils.visual
doc_to_text: !function utils.text
doc_to_target: ""
process_results: !function utils.score
generation_kwargs:
  max_new_tokens: {limit}
metric_list:
  - metric: said
    aggregation: !function utils.mean
    higher_is_better: true
"""


def write_task(folder, name, kind, records):
    """A task of lmms-eval whose items are files."""
    items = []
    for record in records:
        paths = [folder / f"{record.id}_{i}.png" for i in range(len(record.images))]
        for path, image in zip(paths, record.images, strict=True):
            path.write_bytes(image)
        said = document(record)["conversations"]
        items.append({"image": [str(path) for path in paths], "conversations": said})
    data = folder / f"{name}.json"
    data.write_text(json.dumps(items))
    task = TASK.format(name=name, data=data, kind=kind, limit=NUM_TOKENS)
    (folder / f"{name}.yaml").write_text(task)


def test_the_command_of_lmms_eval_runs_the_bundle(ours, theirs, workdir, tmp_path):
    pytest.importorskip("lmms_eval")
    tasks, logs = tmp_path / "tasks", tmp_path / "logs"
    tasks.mkdir()
    (tasks / "utils.py").write_text(UTILS)
    write_task(tasks, "single", "generate_until", QUESTIONS[:2])
    write_task(tasks, "talk", "generate_until_multi_round", [DIALOGUE])
    command = [sys.executable, "-m", "lmms_eval", "--model=babyvlm", "--batch_size=2"]
    command += ["--model_args=pretrained=hf,conv_template=baby_v1"]
    command += ["--tasks=single,talk", f"--include_path={tasks}", "--log_samples"]
    plugins = {"PYTHONPATH": ".", "LMMS_EVAL_PLUGINS": "babyvlm_plugin"}
    homes = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"}
    subprocess.run(
        [*command, f"--output_path={logs}"],
        cwd=workdir.parent / "bundle",
        env={**os.environ, **plugins, **homes},
        check=True,
    )
    found = {}
    for path in logs.rglob("*samples*.jsonl"):
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        lines.sort(key=lambda line: line["doc_id"])
        task = "talk" if "talk" in path.name else "single"
        found[task] = [line["filtered_resps"][0] for line in lines]
    single = [
        SimpleNamespace(
            args=(
                q.turns[0][1],
                {"max_new_tokens": NUM_TOKENS},
                pictures,
                i,
                "task",
                "test",
            )
        )
        for i, q in enumerate(QUESTIONS[:2])
    ]
    assert found["single"] == theirs.generate_until(single)
    said = [replies[0] for replies in ours.generate(QUESTIONS[:2])]
    assert words_of(found["single"]) == words_of(said)
    args = ("", {"max_new_tokens": NUM_TOKENS}, None, None, 3, "task", "test")
    talk = theirs.generate_until_multi_round([SimpleNamespace(args=args)])
    assert found["talk"] == talk
