"""A folder that torch wrote imports, and answers as torch does, token for token."""

import io

import jax
import numpy as np
import pytest
from PIL import Image

from babyvlm_jax.chat import stream
from babyvlm_jax.data import images
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record
from babyvlm_jax.data.tokenizer import Tokenizer
from babyvlm_jax.evals.reader import Reader
from babyvlm_jax.interchange.importing import ImportConfig, import_source
from babyvlm_jax.training import checkpoint
from tests import tiny

pytestmark = [pytest.mark.torch, pytest.mark.slow]
NUM_PROMPTS, NUM_TOKENS = 50, 8
PICTURES = (0, 1, 2, 1, 3, 2, 0, 1, 5, 10)
WORDS = ("where is the Ball?", "look, a dog!", "how many\n cups (A) or (B)", "yes  ")


@pytest.fixture(autouse=True)
def resized_by_pillow(monkeypatch):
    """As transformers resizes; our fast resizer is within a level of 255 of it."""
    monkeypatch.setattr(images, "cykooz_resizer", None)


def png(image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def prompts():
    """(turns, pictures): 0 to 10 pictures in 1 to 4 turns, at any place."""
    rng = np.random.default_rng(0)
    for number in range(NUM_PROMPTS):
        rounds = number % 4 + 1
        count = PICTURES[number % len(PICTURES)]
        marks = rng.multinomial(count, np.ones(rounds) / rounds)
        turns = []
        for k in range(rounds):
            words = [str(rng.choice(WORDS))] * (k % 2 + 1) + ["<image>"] * marks[k]
            joint = rng.choice(["", " "])
            turns.append((HUMAN, joint.join(rng.permutation(words).tolist())))
            turns.append((ASSISTANT, str(rng.choice(["a", "the red ball", "2"]))))
        sizes = rng.integers(40, 240, (sum(marks), 2))
        pictures = [
            Image.fromarray(rng.integers(0, 256, (h, w, 3)).astype(np.uint8))
            for h, w in sizes
        ]
        yield tuple(turns[:-1]), pictures


def test_greedy_answers_equal_those_of_torch(tmp_path):
    pytest.importorskip("transformers")
    from tests.interchange.torch_side import Reference

    reference = Reference()
    reference.write(tmp_path / "folder")
    import_source(ImportConfig(str(tmp_path / "folder"), str(tmp_path / "out")))
    mesh = tiny.mesh_of()
    with jax.set_mesh(mesh):
        model, params, info = checkpoint.load_model(tmp_path / "out", mesh)
        data = info["config"]["data"]
        reader = Reader(
            model,
            params,
            Tokenizer.load(data["tokenizer"]),
            data["template"],
            data["tokens_per_image"],
            data["image_size"],
            batch_size=1,
            buckets=(320, 768, 1216, 2304),
            mesh=mesh,
        )
        spoken = set()
        for number, (turns, pictures) in enumerate(prompts()):
            shown = tuple(png(picture) for picture in pictures)
            record = Record(f"p{number}", "test", shown, turns)
            ids = np.concatenate(list(stream(reader, [record], NUM_TOKENS))).tolist()
            ids = ids[: ids.index(3)] if 3 in ids else ids
            assert ids == reference.answer(turns, pictures, NUM_TOKENS), number
            spoken.add(tuple(ids))
    assert len(spoken) > NUM_PROMPTS // 2
