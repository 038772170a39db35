"""Boxes become things, and say how much of a thing is seen."""

import pytest

from data_prep.devcv import ingest
from data_prep.raw import Box, Frame

SIDE = 100


def _box(number, bbox, category="cup", visible=1.0):
    return Box(number, category, bbox, str(number), None, None, visible)


def _frame(index, *boxes):
    return Frame(index, index / 5, SIDE, SIDE, boxes)


def _names(frames):
    return [[box.instance_id for box in frame.boxes] for frame in frames]


def test_a_thing_keeps_its_name_while_it_moves():
    # 15 pixels a step: the third box overlaps the second's place by a quarter only,
    # but is where the second one was heading for.
    frames = [
        _frame(0, _box(1, (10, 10, 20, 20))),
        _frame(6, _box(2, (16, 10, 20, 20)), _box(3, (70, 70, 20, 20))),
        _frame(12, _box(4, (31, 10, 20, 20)), _box(5, (70, 70, 20, 20), "hat")),
    ]
    assert _names(ingest.link("r", frames)) == [["r/1"], ["r/1", "r/3"], ["r/1", "r/5"]]


def test_the_better_of_two_boxes_goes_on():
    frames = [
        _frame(0, _box(1, (10, 10, 20, 20)), _box(2, (24, 10, 20, 20))),
        _frame(1, _box(3, (22, 10, 20, 20)), _box(4, (9, 10, 20, 20))),
    ]
    assert _names(ingest.link("r", frames))[1] == ["r/2", "r/1"]


def test_a_missed_frame_is_bridged_and_a_long_absence_is_not():
    still = (40, 40, 20, 20)
    times = (0, 1, 3, 4, 8)
    frames = [_frame(t, _box(k, still)) for k, t in enumerate(times)]
    names = [name for (name,) in _names(ingest.link("r", frames))]
    assert names == ["r/0", "r/0", "r/0", "r/0", "r/4"]


def test_overlap():
    assert ingest.iou((0, 0, 2, 2), (1, 0, 2, 2)) == pytest.approx(2 / 6)
    assert ingest.iou((0, 0, 2, 2), (2, 0, 2, 2)) == 0


def test_what_is_seen_of_a_thing_at_the_border():
    frames = [
        _frame(0, _box(1, (30, 40, 40, 20))),
        _frame(1, _box(1, (0, 40, 10, 20)), _box(2, (60, 90, 20, 10))),
        _frame(2, _box(3, (95, 40, 5, 5), visible=0.0)),
    ]
    seen = ingest.estimate_visible(frames)
    assert [[box.visible for box in frame.boxes] for frame in seen] == [
        [1.0],
        [0.25, ingest.CUT],  # a quarter of the whole cup; never whole
        [0.0],  # a crowd
    ]
