"""Who Has More in real frames."""

import collections

from data_prep.devcv.bank import Bank
from data_prep.devcv.compare import compare_real, frames_by_count, pair
from tests.data_prep.devcv.world import make_frames, thing

BOX = [(2, 2, 12, 12), (20, 2, 12, 12), (2, 40, 12, 12)]


def test_counts_and_balance(bank, rng, style):
    made = list(compare_real(bank, rng, 40, style))
    assert collections.Counter(i.meta["answer"] for i in made) == {"A": 20, "B": 20}
    for item in made:
        a, b = item.meta["numbers"]
        assert min(a, b) >= 1 and item.meta["answer"] == ("A" if a > b else "B")
        assert len(set(item.images)) == 2


def test_a_half_hidden_thing_makes_a_frame_uncountable(tmp_path):
    frames = make_frames(
        tmp_path,
        [
            ("a", 0, [thing("cup", BOX[0], "1"), thing("cup", BOX[1], "2")]),
            ("b_pan", 0, [thing("cup", (0, 0, 4, 16), "3"), thing("hat", BOX[1], "4")]),
        ],
    )
    pool = frames_by_count(Bank(frames))  # 64 of 256 pixels of cup 3 are visible
    assert {noun: set(by) for noun, by in pool.items()} == {"cup": {2}, "hat": {1}}


def test_pair_finds_the_wanted_kind(tmp_path, rng):
    large = thing("cup", (2, 2, 40, 40), "1")
    small = [thing("cup", box, str(k)) for k, box in enumerate(BOX[:2])]
    clutter = [thing("hat", (50, 10 * k, 9, 9), f"h{k}") for k in range(3)]
    entries = [
        ("inky", 0, [large]),
        ("inky_cluttered", 0, [large, *clutter]),
        ("plain", 0, [thing("cup", (2, 2, 8, 8), "5")]),
        ("two", 0, small),
    ]
    by_count = frames_by_count(Bank(make_frames(tmp_path, entries)))["cup"]
    for inky, cluttered, name in [
        (True, True, "inky_cluttered"),
        (True, False, "inky"),
        (False, False, "plain"),
    ]:
        fewer, more = pair(rng, by_count, "cup", inky, cluttered)
        assert (fewer.recording, more.recording) == (name, "two")
