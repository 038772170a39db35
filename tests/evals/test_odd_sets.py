"""Sets in other wordings, from their files to results: right answers are right."""

import json

import pytest

from babyvlm_jax import evaluate
from babyvlm_jax.data.schema import RecordSource, write_dataset
from babyvlm_jax.evals.config import EvalConfig
from babyvlm_jax.evals.items import cluster
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import preflight
from configs.eval import devcv
from data_prep.devcv.__main__ import main
from tests.data_prep.devcv.released_fixture import Writer, memory_item, turn
from tests.evals.fakes import MODEL, FakeConfig, FakeDecoder
from tests.evals.samples import record
from tests.evals.test_released import fake_checkpoint

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
    (entry,) = content.tasks.values()
    primary, chance, official = EXPECTED[name]
    assert content.problems == []
    assert (entry.n, entry.score, entry.primary) == (
        len(SETS[name][2]),
        1.0,
        primary,
    )
    assert entry.chance == pytest.approx(chance)
    scores = {
        row.parser: row.metrics[primary].value for row in entry.rows if not row.control
    }
    assert scores == {"strict": 1.0, "official": official}


def test_ids_without_a_slash_name_their_recording(tmp_path):
    writer = Writer(tmp_path / "set" / "vdr_binary", "v")
    for k in range(12):
        form = ("original", "augmented")[k % 2]
        name = f"S_20990101_010{k // 4}_01_clip_00{k // 2 % 2}_{form}"
        writer.add(name, turn(CLIP, "left"), [10 * k, 10 * k + 1, 10 * k + 2])
    writer.save()
    assert run_import(f"--from={tmp_path / 'set'}", f"--out={tmp_path / 'out'}") == 0
    items = list(RecordSource(tmp_path / "out", "devcv_vdr_binary", "test"))
    assert len(items) == 12
    recordings = [f"S_20990101_010{k}_01" for k in range(3)]
    assert sorted({cluster(item) for item in items}) == recordings
    assert sorted({one for i in items for one in i.meta["recordings"]}) == recordings


def test_a_set_that_cannot_be_evaluated_does_not_stop_the_others(tmp_path, capsys):
    good = [record("count", CUPS, "3", name="c0")]
    odd = [record("count", "<image> how?", "so", name="c0")]
    for name, items in (("good", good), ("odd", odd), ("cut", good)):
        write_dataset(tmp_path / name, "devcv_count", {"test": items}, "tests")
    for shard in (tmp_path / "cut").glob("*/*/*array_record*"):
        shard.write_bytes(shard.read_bytes()[:100])
    said = tmp_path / "said.jsonl"
    said.write_text('{"task": "count", "id": "c0", "output": "3"}\n')
    shards = ",".join(f"{name}={tmp_path / name}" for name in ("odd", "cut", "good"))
    content = run_evaluation(tmp_path / "work", shards, said)
    assert set(content.tasks) == {"good/count"}
    assert content.tasks["good/count"].score == 1.0
    odd, cut = content.problems
    assert odd.startswith("odd/count: the whole set: ") and "'so' is none" in odd
    assert cut.startswith("cut/count: the whole set: ") and "is damaged" in cut
    assert "left out: odd/count" in capsys.readouterr().out
    with pytest.raises(UserError, match="'so' is none"):
        run_evaluation(tmp_path / "strict", shards, said, strict=True)
    with pytest.raises(UserError, match="no set can be evaluated; odd/count"):
        run_evaluation(tmp_path / "none", shards.rpartition(",")[0], said)


def test_items_beyond_the_context_are_counted_and_told(tmp_path, monkeypatch, capsys):
    turns, seeds, labels = memory_item(2)
    writer = Writer(tmp_path / "set" / "memory", "m")
    writer.add("long", turns, seeds, labels=labels)
    writer.add("short", turns[:4], seeds[:3], labels=labels[:2])
    writer.save()
    assert run_import(f"--from={tmp_path / 'set'}", f"--out={tmp_path / 'out'}") == 0
    model = MODEL._replace(config=FakeConfig(FakeDecoder(max_len=60)))
    fake_checkpoint(monkeypatch, model)
    config = devcv.get_config()
    config.checkpoint, config.shards = str(tmp_path), str(tmp_path / "out")
    config.batch_size, config.max_new_tokens, config.buckets = 8, 4, (64,)
    monkeypatch.setattr(preflight, "check_checkpoint", lambda *_: None)
    (content,) = evaluate.evaluate(EvalConfig(**config.to_dict()), str(tmp_path / "w"))
    entry = content.tasks["memory"]
    assert entry.n == 2 and entry.beyond_context["items"] == 1
    longest = entry.beyond_context["longest"]
    assert longest > 60
    told = f"1 of 2 items are longer than the model's context, the longest {longest}"
    assert told in content.problems[0] and told in capsys.readouterr().out
