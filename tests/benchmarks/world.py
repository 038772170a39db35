"""Records for the benchmarks: as shards for ours, as JSON and files for the peer."""

import functools
import io
import json
import pathlib

import numpy as np
from PIL import Image

from babyvlm_jax.data import tokenizer
from babyvlm_jax.data.schema import ASSISTANT, HUMAN, Record, write_dataset
from tests.benchmarks import v2_mixture

SIDE = 256  # what the importer stores
SPEAKERS = {HUMAN: "human", ASSISTANT: "gpt"}
WORDS = 400


def picture(rng: np.random.Generator, side: int = SIDE) -> bytes:
    """JPEG of quality 92, some 20 KB at 256 pixels: soft shapes, a little noise."""
    coarse = rng.integers(0, 255, (16, 16, 3), np.uint8)
    soft = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
    noisy = np.asarray(soft).astype(int) + rng.integers(-8, 8, (side, side, 3))
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=92)
    return out.getvalue()


@functools.cache
def _words() -> list[str]:
    rng = np.random.default_rng(1)
    letters = np.array(list("etaoinshrdlucmwy"))
    return ["".join(rng.choice(letters, rng.integers(2, 8))) for _ in range(WORDS)]


def records(count: int, seed: int = 0, side: int = SIDE) -> list[Record]:
    """Clips, frames and episodes in the published proportions."""
    rng = np.random.default_rng(seed)
    share = np.array([v2_mixture.CLIPS, v2_mixture.FRAMES, v2_mixture.EPISODES])
    made = []
    for number, kind in enumerate(rng.choice(3, count, p=share / share.sum())):
        rounds = rng.integers(*v2_mixture.ROUNDS, endpoint=True) if kind == 2 else 1
        shown = v2_mixture.PICTURES_OF_A_CLIP if kind == 0 else 1
        turns = []
        for words in v2_mixture.words(rng, rounds):
            turns.append((HUMAN, "<image>" * shown))
            turns.append((ASSISTANT, " ".join(rng.choice(_words(), words))))
        pictures = tuple(picture(rng, side) for _ in range(rounds * shown))
        made.append(Record(f"r{number}", "mix", pictures, tuple(turns)))
    return made


def write(folder: pathlib.Path, made: list[Record]) -> None:
    """Writes FOLDER/shards, FOLDER/tokenizer.model, FOLDER/mix.json, FOLDER/images."""
    write_dataset(folder / "shards", "mix", {"train": made}, "benchmark")
    said = [text for record in made for role, text in record.turns if role == ASSISTANT]
    model = tokenizer.train(said, 1000, ["user:", "assistant:"])
    (folder / "tokenizer.model").write_bytes(model)
    (folder / "images").mkdir()
    entries = []
    for record in made:
        names = [f"{record.id}_{i}.jpg" for i in range(len(record.images))]
        for name, data in zip(names, record.images, strict=True):
            (folder / "images" / name).write_bytes(data)
        turns = [{"from": SPEAKERS[role], "value": text} for role, text in record.turns]
        entries.append({"id": record.id, "image": names, "conversations": turns})
    (folder / "mix.json").write_text(json.dumps(entries))
