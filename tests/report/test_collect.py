"""Curves, growth, published numbers and test items that a report shows."""

import base64
import io
import json

import pytest
from PIL import Image

from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.report.collect import (
    MAX_SIDE,
    Picture,
    choose,
    load_items,
    make_item,
    read_growth,
    read_phases,
    read_published,
)
from babyvlm_jax.runtime.errors import UserError
from tests.report import fake_run

DRAWN = "a procedural (synthetic) world"


def write_metrics(folder, entries):
    folder.mkdir()
    half = '{"step": 9, "time_'  # the run is killed, or writes it now
    lines = [*(json.dumps(entry) for entry in entries), half]
    (folder / "metrics.jsonl").write_text("\n".join(lines))


def test_phases_come_in_training_order_and_repeated_steps_count_once(tmp_path):
    write_metrics(tmp_path / "joint", [{"step": 1, "time_s": 2.0, "train/loss": 3.0}])
    write_metrics(
        tmp_path / "language",
        [
            {"step": 1, "time_s": 1.0, "train/loss": 5.0},
            {"step": 2, "time_s": 2.0, "train/loss": 4.0},
            {"step": 2, "time_s": 3.0, "train/loss": 4.5},
            {"step": 3, "time_s": 4.0, "train/loss": float("nan")},
            {"step": 3, "time_s": 5.0, "val/loss": 9.0},
        ],
    )
    language, joint = read_phases(tmp_path)
    assert (language.name, joint.name) == ("language", "joint")
    assert (language.steps, language.losses) == ((1, 2), (5.0, 4.5))
    assert (language.seconds, language.config) == (5.0, {})
    assert (language.held_out, joint.held_out) == (((3, 9.0),), ())


def test_growth_follows_the_evaluated_steps_in_order(tmp_path):
    for step, tasks in ((9, ("count",)), (100, ("count", "lwl"))):
        fake_run.write_results(tmp_path / "eval" / str(step), tasks, step=step)
    fake_run.write_results(tmp_path / "eval" / "100-choice", ("lwl",))
    (growth,) = read_growth(tmp_path)
    assert {step: task.score for step, task in growth.items()} == {9: 0.38, 100: 0.38}


def test_every_number_is_a_share_with_a_source_and_belongs_to_a_task_or_says_what():
    published = read_published()
    assert "None of it was measured here" in published.about
    for one in published.numbers:
        assert 0 < one.value <= 1
        assert one.sources
        if one.task:
            assert one.metric in ("", *TASKS[one.task].metrics)
        else:
            assert one.what


def test_conflicts_are_said():
    numbers = read_published().beside("compare_real", "accuracy")
    assert [(one.who, one.value) for one in numbers] == [
        ("BabyVLM-V2", 0.997),
        ("human adults", 0.964),
    ]
    assert "conflict" in numbers[0].note


def test_a_number_in_an_unknown_metric_stands_beside_any():
    published = read_published()
    assert len(published.beside("memory", "adjusted")) == 2
    assert published.beside("vdr_open", "exact")[0].value == 0.636
    assert published.beside("subitize", "accuracy") == ()


def image(side=8, noise=False) -> bytes:
    if noise:
        made = Image.effect_noise((side, side), 90).convert("RGB")
    else:
        made = Image.new("RGB", (side, side), "red")
    out = io.BytesIO()
    made.save(out, "PNG")
    return out.getvalue()


def predictions(marks):
    return [{"id": f"item_{at}", "correct": mark} for at, mark in enumerate(marks)]


@pytest.mark.parametrize(
    ("marks", "shown"),
    [
        ([True] * 6 + [False] * 6, [True, True, False, False]),
        ([True] * 9 + [False], [True, True, True, False]),
        ([False] * 9 + [True], [True, False, False, False]),
        ([False] * 9, [False] * 4),
        ([True, False], [True, False]),
    ],
)
def test_right_and_wrong_items_are_mixed(marks, shown):
    assert [entry["correct"] for entry in choose(predictions(marks), 4)] == shown


def test_choice_does_not_depend_on_the_order_of_the_lines():
    lines = predictions([True, False] * 10)
    assert choose(lines, 4) == choose(lines[::-1], 4)


def test_dialogues_are_split_at_the_median_of_right_rounds():
    lines = [
        {"id": str(right), "rounds": [{"correct": at < right} for at in range(9)]}
        for right in range(9)
    ]
    better, worse = choose(lines, 2)
    assert int(better["id"]) >= 4 > int(worse["id"])


def make(prompt, count, **meta):
    turns = (("human", prompt), ("assistant", "B"))
    record = Record("a", "eval/x", (image(),) * count, turns, meta)
    said = {"id": "a", "answer": "B", "prediction": "A", "correct": False}
    return make_item(record, said)


def shape(item):
    """Parts of the first round, a picture as (label, alt)."""
    return [
        (part.label, part.alt) if isinstance(part, Picture) else part
        for part in item.rounds[0].parts
    ]


def test_option_letters_stay_with_their_pictures():
    item = make("<image> Same? (A) <image> (B)<image>. Look.", 3)
    assert shape(item) == [
        ("", "picture 1 of 3"),
        " Same? ",
        ("(A)", "picture 2 of 3"),
        ("(B)", "picture 3 of 3"),
        ". Look.",
    ]


def test_pictures_are_described_where_the_record_says_what_they_show():
    item = make("Touch it (A) <image> (B) <image>", 2, options=["ball", "cup"])
    assert shape(item)[1:] == [
        ("(A)", "picture 1 of 2: ball"),
        ("(B)", "picture 2 of 2: cup"),
    ]


def test_dialogue_has_a_round_for_each_question():
    turns = (
        ("human", "New? (A) <image>"),
        ("assistant", "A"),
        ("human", "New? (A) <image> (B) <image>"),
        ("assistant", "B"),
    )
    record = Record(
        "a", "eval/memory", (image(),) * 3, turns, {"labels": [["x"], ["x", "y"]]}
    )
    rounds = [
        {"answer": "A", "prediction": "A", "correct": True},
        {"answer": "B", "prediction": "", "correct": False},
    ]
    item = make_item(record, {"id": "a", "rounds": rounds})
    assert item.num_right == 1
    assert [part.alt for part in item.rounds[1].parts[1:]] == [
        "picture 1 of 2: x",
        "picture 2 of 2: y",
    ]
    assert item.rounds[1].prediction == ""


def decode(src):
    kind, data = src.removeprefix("data:").split(";base64,")
    return kind, base64.b64decode(data)


def test_small_pictures_are_carried_as_they_are_and_large_ones_shrunk():
    turns = (("human", "<image> <image>"), ("assistant", "B"))
    record = Record("a", "eval/x", (image(), image(400, noise=True)), turns)
    said = {"answer": "B", "prediction": "B", "correct": True}
    small, large = [part.src for part in make_item(record, said).rounds[0].parts]
    assert decode(small) == ("image/png", image())
    kind, data = decode(large)
    assert kind == "image/jpeg"
    assert Image.open(io.BytesIO(data)).size == (MAX_SIDE, MAX_SIDE)


def test_items_are_found_by_id_and_a_foreign_id_is_named(tmp_path):
    turns = (("human", "<image> What?"), ("assistant", "B"))
    records = [Record(f"r{at}", "eval/x", (image(),), turns) for at in range(9)]
    write_dataset(tmp_path, "devcv_x", {"test": records}, "made up")
    said = {"dataset": "devcv_x", "answer": "B", "prediction": "B", "correct": True}
    items = load_items(tmp_path, "test", [{"id": "r7", **said}, {"id": "r2", **said}])
    assert sorted(item.id for item in items) == ["r2", "r7"]
    with pytest.raises(UserError, match=r"name item 'r99', but dataset 'devcv_x'"):
        load_items(tmp_path, "test", [{"id": "r99", **said}])
    with pytest.raises(UserError, match=r"no dataset 'devcv_x'"):
        load_items(tmp_path / "other", "test", [{"id": "r7", **said}])


def test_pictures_of_recordings_are_shown_only_if_asked_for(tmp_path):
    turns = (("human", "<image> What?"), ("assistant", "B"))
    said = {"id": "r", "answer": "B", "prediction": "B", "correct": True}
    shown = {}
    for name, origin in (("real", "real frames"), ("drawn", DRAWN)):
        record = Record("r", "eval/x", (image(),), turns)
        write_dataset(tmp_path, f"devcv_{name}", {"test": [record]}, f"of {origin}.")
        lines = [{**said, "dataset": f"devcv_{name}"}]
        for asked in (False, True):
            (item,) = load_items(tmp_path, "test", lines, asked)
            shown[name, asked] = bool(item.rounds[0].parts[0].src)
    assert shown == {
        ("real", False): False,
        ("real", True): True,
        ("drawn", False): True,
        ("drawn", True): True,
    }


def test_task_without_predictions_shows_nothing(tmp_path):
    assert load_items(tmp_path, "test", []) == []
