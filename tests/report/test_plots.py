"""Geometry of the drawings and what they say to a reader who does not see them."""

import pytest

from babyvlm_jax.report.collect import Number, Phase
from babyvlm_jax.report.plots import (
    curve,
    growth_curve,
    nice_ticks,
    score_track,
    smoothed,
)
from tests.evals import contents


def make_task(title, score=0.5, low=0.43, high=0.57, chance=0.25):
    entry = contents.entry(title, score, low, high, chance)
    return contents.evaluation({"count": entry}).tasks["count"]


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (0, 870, [0, 500, 1000]),
        (0, 1000, [0, 500, 1000]),
        (2.3, 8.4, [2, 4, 6, 8, 10]),
        (0.31, 0.39, [0.3, 0.32, 0.34, 0.36, 0.38, 0.4]),
        (0, 1, [0, 0.5, 1]),
        (2.0, 2.0, [2.0, 2.5]),
    ],
)
def test_ticks_are_round_and_enclose_the_values(low, high, ticks):
    assert nice_ticks(low, high, 4) == pytest.approx(ticks)


def test_smoothing_is_centred_and_cut_off_at_the_ends():
    assert smoothed([3.0, 0.0, 3.0, 0.0]) == [1.5, 2.0, 1.0, 1.5]
    assert smoothed([6.0] * 40 + [0.0] * 40)[37:43] == pytest.approx(
        [6.0, 4.8, 3.6, 2.4, 1.2, 0.0]
    )
    assert smoothed([2.0]) == [2.0]


def test_track_places_score_interval_and_chance():
    svg = score_track(make_task("Count"))
    assert 'class="whisker" x1="43.0%" x2="57.0%"' in svg
    assert 'class="dot" cx="50.0%"' in svg
    assert 'class="chance" x1="25.0%" x2="25.0%"' in svg
    assert "Count: 50.0 %, 95 % interval" in svg


def test_track_of_a_task_not_above_chance_is_hollow():
    svg = score_track(make_task("<&", chance=0.5))
    assert 'class="dot hollow"' in svg
    assert "&lt;&amp;: 50.0 %" in svg


def test_curve_spans_the_axes():
    svg = curve(Phase("joint", (1, 5, 10), (3.0, 2.0, 1.0), 4.0, {}))
    # x: step 0 at 40, step 10 at 320; y: loss 3 at 10, loss 1 at 162
    assert 'class="raw" points="68.0,10.0 180.0,86.0 320.0,162.0"' in svg
    assert 'aria-label="joint: loss from 2.50 to 1.50 over 10 steps"' in svg


def test_curve_of_one_step_and_of_many_steps():
    assert "320.0" in curve(Phase("joint", (1,), (3.0,), 4.0, {}))
    held_out = ((5, 2.5), (10, 4.0))
    svg = curve(Phase("joint", (1, 5, 10), (3.0, 2.0, 1.0), 4.0, {}, held_out))
    assert "held-out loss 4.00 at the end" in svg
    assert svg.count("<polyline") == 3
    steps = tuple(range(1, 2002))
    svg = curve(Phase("joint", steps, tuple(1.0 / step for step in steps), 4.0, {}))
    raw = svg.split('class="raw" points="')[1].split('"')[0].split()
    assert len(raw) <= 402
    assert raw[-1].startswith("320.0,")


def test_published_numbers_are_marked_as_not_measured_here():
    adults = Number("human adults", "count", "accuracy", "", 0.991, ("x",), "")
    task = make_task("Count")
    svg = score_track(task, (adults,))
    assert '<svg class="published" x="99.1%"' in svg
    assert "<title>human adults: 99.1 %, published, not measured here</title>" in svg
    assert "published, not measured here: human adults 99.1 %" in svg


def test_growth_spans_the_axes():
    growth = {5: make_task("Count", 0.25, 0, 0.5), 10: make_task("Count", 1, 0.75, 1)}
    svg = growth_curve(growth)
    # x: step 0 at 40, step 10 at 320; y: 0 % at 162, 100 % at 10
    assert 'class="smooth" points="180.0,124.0 320.0,10.0"' in svg
    assert 'points="320.0,48.0 180.0,162.0 180.0,86.0 320.0,10.0"' in svg
    assert 'class="chance" x1="40" x2="320" y1="124.0" y2="124.0"' in svg
    assert "Count: from 25.0 % at step 5 to 100.0 % at step 10" in svg
