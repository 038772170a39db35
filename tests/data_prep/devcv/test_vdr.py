"""Visual Delayed Response: directions by rule, clips that show the way out."""

import collections
import dataclasses

import pytest

from data_prep.devcv.items import frames_of
from data_prep.devcv.tasks.vdr import (
    exit_direction,
    exits,
    stretches,
    vdr_binary,
    vdr_open,
)
from tests.data_prep.devcv.world import SIDE, STEPS, make_frames, pan, thing


@pytest.mark.parametrize(("direction", "step"), STEPS.items())
def test_direction_of_straight_pans(direction, step):
    boxes = [box for box in pan(step) if box]
    assert exit_direction(boxes, (SIDE, SIDE)) == direction


def test_direction_by_hand():
    size = (96, 96)
    leaving_left = [(30, 40, 20, 20), (10, 40, 20, 20), (0, 40, 10, 20)]
    assert exit_direction(leaving_left, size) == "left"
    # Cut at the bottom all the way: it leaves through the right all the same.
    low = [(40, 60, 20, 20), (60, 70, 20, 20), (80, 70, 16, 20)]
    assert exit_direction(low, size) == "right"
    resting = [(40, 40, 20, 20), (40, 40, 20, 20)]
    assert exit_direction(resting, size) is None
    # The centre would cross the left border at the very corner: too close to call.
    corner = [(20, 26, 20, 20), (0, 8, 20, 20)]
    assert exit_direction(corner, size) is None


def test_exits_of_the_world(bank):
    found = exits(bank.frames)
    by_recording = {e.frames[0].recording: e.direction for e in found}
    assert by_recording == {f"test_pan{k}": d for k, d in enumerate(STEPS)}
    for exit_ in found:
        seen = [
            any(t.instance == exit_.thing.instance for t in frame.things)
            for frame in exit_.frames
        ]
        assert seen[0] and not seen[-1] and len(seen) >= 5
        assert seen == sorted(seen, reverse=True)


def test_the_mirrored_world_has_the_same_exits_with_the_sides_changed(bank, style):
    wanted = dataclasses.replace(style, mirror=True)
    found = exits(frames_of(bank, wanted))[len(exits(bank.frames)) :]
    by_recording = {e.frames[0].recording: e.direction for e in found}
    changed = {"left": "right", "right": "left"}
    assert by_recording == {
        f"test_pan{k}": " ".join(changed.get(word, word) for word in d.split())
        for k, d in enumerate(STEPS)
    }


def test_a_second_thing_of_the_noun_makes_a_clip_useless(tmp_path):
    rival = thing("ball", (2, 50, 10, 10), "rival")
    entries = [
        ("r_pan", time, [*([thing("ball", box, "b")] if box else []), rival])
        for time, box in enumerate(pan((12, 0)))
    ]
    assert not exits(make_frames(tmp_path, entries))
    alone = [(name, time, things[:-1]) for name, time, things in entries]
    assert len(exits(make_frames(tmp_path, alone))) == 1


def test_a_jump_out_of_the_frame_is_no_exit(tmp_path):
    entries = [("r", time, [thing("ball", (20, 20, 16, 16))]) for time in range(6)]
    entries += [("r", 6, []), ("r", 7, [])]
    assert not exits(make_frames(tmp_path, entries))


def test_missing_frames_cut_a_recording(tmp_path):
    frames = make_frames(tmp_path, [("r", i, []) for i in (0, 2, 4, 10, 12)])
    cut = [[frame.index for frame in stretch] for stretch in stretches(frames)]
    assert cut == [[0, 2, 4], [10, 12]]


def test_binary_asks_for_opposite_sides_in_either_order(bank, rng, style):
    made = list(vdr_binary(bank, rng, 40, style))
    answers = collections.Counter(item.meta["answer"] for item in made)
    assert answers == dict.fromkeys(("left", "right", "top", "bottom"), 10)
    pairs = {item.turns[0][1].rsplit("ONLY with ")[1] for item in made}
    assert pairs == {
        *("'left' or 'right'.", "'right' or 'left'."),
        *("'top' or 'bottom'.", "'bottom' or 'top'."),
    }
    assert all(5 <= len(item.images) <= 10 for item in made)


def test_open_is_balanced_over_eight_directions(bank, rng, style):
    made = list(vdr_open(bank, rng, 24, style))
    answers = collections.Counter(item.meta["direction"] for item in made)
    assert answers == dict.fromkeys(STEPS, 3)
    assert all(item.meta["answer"] == item.meta["direction"] for item in made)
