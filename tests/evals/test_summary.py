import numpy as np
import pytest

from babyvlm_jax.evals.results import Metric
from babyvlm_jax.evals.scoring import Said, make_line
from babyvlm_jax.evals.summary import summarize
from babyvlm_jax.evals.tasks import TASKS
from tests.evals.samples import ITEMS, memory, record

COUNT = TASKS["count"]
TEXT = "<image> How many of cup do you see?"


def lines_of(replies, control="", protocol="generate", name="count", shares=None):
    """One line for each reply; the right answer is 3, then 4, 3, 4, ..."""
    return [
        make_line(
            TASKS[name],
            "",
            record(name, TEXT, "34"[i % 2], name=f"{name}{i}"),
            Said(protocol, control, [reply], shares and [shares]),
        )
        for i, reply in enumerate(replies)
    ]


def constant(number):
    return lines_of(["3"] * number, "constant", "")


def test_entry_has_the_fields_of_the_contract():
    replies = ["3", "4"] * 15 + ["eleven"] * 70
    count = summarize(COUNT, "count", "generate", lines_of(replies) + constant(100))
    assert (count.title, count.domain) == ("Object Counting", "Math")
    assert (count.headline, count.held_out) == (True, False)
    assert (count.ages, count.primary) == ((25, 42), "accuracy")
    assert (count.protocol, count.parser) == ("generate", "strict")
    assert (count.n, count.clusters) == (100, 100)
    assert count.score == pytest.approx(0.3)
    assert count.chance == pytest.approx(1 / 12)
    assert count.constant == 0.5
    low, high = count.interval
    assert 0.18 < low < 0.25 < 0.35 < high < 0.42
    assert count.above_chance
    assert count.p_value < 1e-6
    assert count.metrics == {
        "accuracy": Metric(
            value=pytest.approx(0.3),
            interval=(low, high),
            n=100,
            clusters=100,
            chance=pytest.approx(1 / 12),
            p_value=count.p_value,
            protocol="generate",
            parser="strict",
        )
    }


def test_rows_of_every_control_protocol_and_parser():
    twelve = [record("count", TEXT, "12", name=f"n{i}") for i in range(4)]
    said = [
        make_line(COUNT, "", item, Said("generate", "", ["twelve"])) for item in twelve
    ]
    likely = {"3": 0.9, "4": 0.1}
    said += lines_of(["3"] * 4, "", "choice", shares=likely)
    said += lines_of(["3"] * 4, "no_image", "choice", shares=likely) + constant(4)
    entry = summarize(COUNT, "count", "generate", said)
    found = {
        (row.control, row.protocol, row.parser): row.metrics["accuracy"]
        for row in entry.rows
    }
    assert {key: metric.value for key, metric in found.items()} == {
        ("", "generate", "strict"): 1.0,
        ("", "generate", "official"): 0.0,
        ("", "choice", "strict"): 0.5,
        ("no_image", "choice", "strict"): 0.5,
        ("constant", "", "strict"): 0.5,
    }
    row = entry.row("", "choice")
    assert row.calibration == pytest.approx(
        {"confidence": 0.9, "accuracy": 0.5, "error": 0.4}
    )
    assert entry.row("no_text", "choice") is None


def test_above_chance_needs_a_small_p_and_six_clusters():
    def entry(right, number):
        replies = ["34"[i % 2] if i < right else "9" for i in range(number)]
        said = lines_of(replies, name="count") + constant(number)
        return summarize(COUNT, "count", "generate", said)

    assert not entry(4, 40).above_chance
    assert entry(20, 40).above_chance
    many, few = entry(6, 6), entry(5, 5)
    assert (many.above_chance, many.too_few) == (True, False)
    assert (few.above_chance, few.too_few) == (False, True)
    assert few.p_value < 0.001


def test_one_recording_tells_nothing():
    """3 of 10 right of one dialogue, against a chance of 1 / 12."""
    said = lines_of(["3", "4", "3"] + ["9"] * 7) + constant(10)
    entry = summarize(
        COUNT, "count", "generate", [{**one, "cluster": "a"} for one in said]
    )
    assert (entry.score, entry.clusters) == (pytest.approx(0.3), 1)
    assert (entry.interval, entry.p_value) == ((0, 1), 1)
    assert entry.too_few
    assert not entry.above_chance


def test_simulated_guessers_raise_p():
    said = lines_of(["3", "4"] * 3 + ["9"] * 4) + constant(10)
    plain = summarize(COUNT, "count", "generate", said).p_value
    lucky = {"accuracy": np.array([0.6, 0.1, 0.1, 0.1])}
    assert plain < 0.001
    assert summarize(COUNT, "count", "generate", said, lucky).p_value == 2 * 2 / 5


def test_breakdown_by_number_is_in_order_of_size():
    items = [
        record("count", TEXT, n, name=f"c{i}") for i, n in enumerate(["10", "2", "2"])
    ]
    said = [make_line(COUNT, "", item, Said("generate", "", ["2"])) for item in items]
    entry = summarize(COUNT, "count", "generate", said + constant(3))
    assert entry.breakdown == {
        "by": "number",
        "values": {"2": {"value": 1.0, "n": 2}, "10": {"value": 0.0, "n": 1}},
    }
    assert list(entry.breakdown["values"]) == ["2", "10"]


def test_memory_scores_by_its_adjusted_metric_and_breaks_down_by_round():
    task = TASKS["memory"]
    replies = (["A", "B", "B", "B", "B", "B"], ["A", "B", "A", "B", "B", "B"])
    said = [
        make_line(task, "", memory(6, name=f"m{i}"), Said("generate", "", one))
        for i, one in enumerate(replies)
    ]
    flat = [
        make_line(task, "", memory(6, name=f"m{i}"), Said("", "constant", ["B"] * 6))
        for i in range(2)
    ]
    entry = summarize(task, task.name, "generate", said + flat)
    assert entry.score == pytest.approx((1.0 + 0.5) / 2)
    assert entry.metrics["raw"].value == pytest.approx((1.0 + 0.75) / 2)
    assert entry.breakdown["by"] == "round"
    assert entry.breakdown["values"]["3"] == {"value": 0.5, "n": 2}


def test_tasks_without_a_breakdown():
    task = TASKS["leftright"]
    item = ITEMS["leftright"]
    said = [make_line(task, "", item, Said("generate", "", ["b"]))]
    said += [make_line(task, "", item, Said("", "constant", ["A"]))]
    assert summarize(task, task.name, "generate", said).breakdown == {}


@pytest.mark.parametrize(
    ("written", "chosen", "expected"),
    [
        ("9" * 30, "34" * 15, (0, 1, "9", 1, "9", 1)),
        ("34" * 15, "4" * 30, (1, 0.5, "3", 0.5, "", 0)),
        ("39" * 15, "34" * 15, (0.5, 1, "3", 0.5, "9", 0.5)),
        ("34" * 15, "34" * 14 + "99", None),
        ("34" * 15, "", None),
    ],
)
def test_generate_and_choice_may_disagree(written, chosen, expected):
    said = lines_of(written) + constant(30)
    said += lines_of(chosen, protocol="choice", shares={"3": 0.6, "4": 0.4})
    names = ("generate", "choice", "answer", "share", "stray", "strayed")
    found = summarize(COUNT, "count", "generate", said).disagreement
    assert found == (expected and dict(zip(names, expected, strict=True)))
