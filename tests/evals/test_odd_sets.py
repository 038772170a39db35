"""Sets in other wordings, from their files to results: right answers are right."""

import json

import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.evals.config import EvalConfig
from configs.eval import devcv
from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.released_fixture import Writer, turn

FIVE = "<image> Which of the following is the same as this? " + " ".join(
    f"({letter}) <image>" for letter in "ABCDE"
)
SIDES = (
    "<image><image><image> does the cup leave the frame through (A) the left side or "
    "(B) the right side? Give a letter."
)
THREE = (
    "<image> Which of the following contains exactly this object? (A) <image> "
    "(B) <image> (C) <image>. Pay attention to details and give a letter A-C."
)
CUPS = "<image> How many of cup do you see?"
CLIP = (
    "<image><image><image> does the cup leave the frame through the left side of the "
    "frame or the right side of the frame? respond ONLY with 'left' or 'right'."
)
# name -> task as released, prompt, (right answer as the file has it, reply) of items
SETS = {
    "five_options": ("leftright", FIVE, [(x, x) for x in "EAECEB"]),
    "lettered_sides": ("vdr_binary", SIDES, [(x, x) for x in "ABABAB"]),
    "gold_letters": (
        "spatialdetails",
        THREE,
        [("A", "A"), ("(A)", "A"), ("B)", "B"), ("C.", "C")],
    ),
    "gold_number_words": (
        "count",
        CUPS,
        [("3", "3"), ("three", "3"), ("Three cups", "3"), ("eleven", "11")],
    ),
    "gold_full_stop": (
        "vdr-binary",
        CLIP,
        [("left", "left"), ("left.", "left"), ("Right", "right"), (" right ", "right")],
    ),
}
# of the first reading of the strict parser, and of the official one
EXPECTED = {
    # primary metric, chance, official score
    "five_options": ("accuracy", 1 / 5, 1.0),  # nothing is read in E, on both sides
    "lettered_sides": ("exact", 1 / 2, 1.0),
    "gold_letters": ("accuracy", 1 / 3, 1.0),
    "gold_number_words": ("accuracy", 1 / 12, 3 / 4),  # no word beyond ten
    "gold_full_stop": ("exact", 1 / 2, 3 / 4),  # nothing is stripped but blanks
}


def write_set(root, name):
    """`TASK/data.json` with its pictures, and replies as a file of predictions."""
    task, prompt, items = SETS[name]
    writer, lines = Writer(root / task, name), []
    size = prompt.count("<image>")
    for number, (gold, reply) in enumerate(items):
        item = writer.add(
            f"{name}_{number}",
            turn(prompt, gold),
            [100 * number + k for k in range(size)],
        )
        lines.append({"id": item["id"], "output": reply})
    writer.save()
    path = root / "said.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run_import(*flags):
    with pytest.raises(SystemExit) as stop:
        main(["import", "--workers=1", *map(str, flags)])
    return stop.value.code


def run_evaluation(workdir, shards, predictions, **changes):
    config = devcv.get_config()
    config.predictions, config.shards = str(predictions), shards
    config.protocols = ("generate",)
    config.update(changes)
    (content,) = evaluate.evaluate(EvalConfig(**config.to_dict()), str(workdir))
    return content


@pytest.mark.parametrize("name", sorted(SETS))
def test_right_answers_are_right(tmp_path, name):
    predictions = write_set(tmp_path / "set", name)
    flags = [f"--from={tmp_path / 'set'}", f"--out={tmp_path / 'out'}", "--source=made"]
    assert run_import(*flags, "--strict") == 0
    shards = f"made={tmp_path / 'out'}"
    content = run_evaluation(tmp_path / "work", shards, predictions)
    (entry,) = content["tasks"].values()
    primary, chance, official = EXPECTED[name]
    assert content["problems"] == []
    assert (entry["n"], entry["score"], entry["primary"]) == (
        len(SETS[name][2]),
        1.0,
        primary,
    )
    assert entry["chance"] == pytest.approx(chance)
    scores = {
        row["parser"]: row["metrics"][primary]["value"]
        for row in entry["rows"]
        if not row["control"]
    }
    assert scores == {"strict": 1.0, "official": official}
