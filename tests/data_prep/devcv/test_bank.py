"""Which sights of a thing count as clean views."""

import numpy as np

from data_prep.devcv.items import Frame, clean_views, intersection, mirror
from tests.data_prep.devcv.world import NOUNS, SIDE, draw, scenes, thing


def _views(*things):
    frame = Frame("r", 0, SIDE, SIDE, things, "nowhere", 0)
    return [view.thing.instance for view in clean_views(frame)]


def test_a_view_is_whole_large_and_uncovered():
    whole = thing("cup", (2, 2, 20, 10), "whole")
    cut = thing("cup", (40, 0, 24, 20), "cut", visible=0.9)
    small = thing("cup", (30, 30, 20, 7), "small")  # 64 / 8 = 8 pixels are needed
    assert _views(whole, cut, small) == ["whole"]


def test_a_tenth_of_overlap_is_too_much_for_the_smaller_box_only():
    large = thing("cup", (0, 0, 40, 40), "large")  # shares 48 of 1600
    other = thing("hat", (36, 4, 20, 12), "other")  # shares 48 of 240
    assert _views(large, other) == ["large"]


def test_intersection():
    assert intersection((0, 0, 4, 4), (2, 1, 4, 2)) == 4
    assert intersection((0, 0, 4, 4), (4, 0, 4, 4)) == 0


def test_a_bank_orders_frames_and_gives_their_pixels(bank):
    names = [(frame.recording, frame.index) for frame in bank.frames]
    assert names == sorted(names) and len(names) == len(scenes("test"))
    assert bank.categories == tuple(sorted(NOUNS))
    for frame in bank.frames[::40]:
        np.testing.assert_array_equal(frame.pixels(), draw(frame.things))


def test_a_mirrored_frame_by_hand(bank):
    frame = Frame("r", 0, 96, 96, (thing("cup", (10, 0, 20, 8)),), "nowhere", 0)
    assert mirror(frame).things[0].bbox == (66, 0, 20, 8)
    assert mirror(mirror(frame)) == frame
    pixels = bank.frames[0].pixels()
    np.testing.assert_array_equal(mirror(bank.frames[0]).pixels(), pixels[:, ::-1])


def test_draw_reaches_every_instance(bank, rng):
    drawn = {bank.draw(rng, "cup").thing.instance for _ in range(60)}
    assert drawn == {f"test_cup_{k}" for k in range(4)}
