"""Who Has More in real frames."""

import collections

import numpy as np

from data_prep.devcv.items import Bank
from data_prep.devcv.tasks.compare import compare_real, frames_by_count, pair, twins
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


def _cups(tmp_path, entries):
    return frames_by_count(Bank(make_frames(tmp_path, entries)))["cup"]


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
    by_count = _cups(tmp_path, entries)
    for inky, cluttered, name in [
        (True, True, "inky_cluttered"),
        (True, False, "inky"),
        (False, False, "plain"),
    ]:
        fewer, more = pair(rng, by_count, "cup", inky, cluttered)
        assert (fewer.recording, more.recording) == (name, "two")


def test_a_tie_is_not_clutter(tmp_path):
    """As many things in both frames: the busier one is the better guess elsewhere."""
    cups = [thing("cup", box, str(k)) for k, box in enumerate(BOX)]
    hats = [thing("hat", (50, 10 * k, 9, 9), f"h{k}") for k in range(3)]
    tie, fuller = [cups[0], hats[0]], [cups[0], *hats]
    entries = [("tie", 0, tie), ("fuller", 0, fuller), ("two", 0, cups[:2])]

    def fewer():
        by_count = _cups(tmp_path, entries)
        rngs = [np.random.default_rng(seed) for seed in range(5)]
        return {pair(rng, by_count, "cup", False, True)[0].recording for rng in rngs}

    assert fewer() == {"fuller"}
    entries[1] = ("one", 0, cups[:1])  # then a tie is better than the emptier frame
    assert fewer() == {"tie"}


def _mixed(tmp_path, *shown) -> Bank:
    """Frames that show so many cups and so many hats."""
    entries = []
    for number, (cups, hats) in enumerate(shown):
        things = [thing("cup", (2 + 14 * k, 2, 12, 12), f"c{k}") for k in range(cups)]
        things += [
            thing("hat", (2 + 14 * k, 20 + 5 * number, 12, 12), f"h{k}")
            for k in range(hats)
        ]
        entries.append((f"r{number}", 0, things))
    return Bank(make_frames(tmp_path, entries))


def test_twins_ask_two_nouns_of_two_frames(tmp_path, rng, style):
    bank = _mixed(tmp_path, (2, 1), (1, 3), (1, 2), (3, 3))
    made = list(compare_real(bank, rng, 4, style))
    assert len(made) == 4  # (2, 1) goes with (1, 3) and with (1, 2), nothing else does
    for one, other in (made[:2], made[2:]):
        assert one.images == other.images
        assert {one.meta["noun"], other.meta["noun"]} == {"cup", "hat"}
        assert {one.meta["answer"], other.meta["answer"]} == {"A", "B"}
        for item in (one, other):
            first, second = item.meta["numbers"]
            assert item.meta["answer"] == ("A" if first > second else "B")
    assert made[0].images != made[2].images


def test_twins_are_not_asked_again_and_singles_take_their_place(tmp_path, rng, style):
    bank = _mixed(tmp_path, (2, 1), (1, 3), (3, 3))
    assert len(list(twins(rng, bank, 10))) == 2
    made = list(compare_real(bank, rng, 10, style))
    assert len(made) == 10
    assert all(len(set(item.meta["numbers"])) == 2 for item in made)
    bank = _mixed(tmp_path, (1, 1), (1, 1))
    assert list(compare_real(bank, rng, 10, style)) == []


def test_a_question_has_one_twin(tmp_path, rng):
    """More cups here, more hats and more keys there: cups are asked for once."""
    boxes = [(x, y, 9, 9) for y in (2, 20, 40) for x in (2, 20)]
    nouns = ("cup", "cup", "hat", "hat", "key", "key")
    things = [
        thing(n, b, str(k)) for k, (n, b) in enumerate(zip(nouns, boxes, strict=True))
    ]
    entries = [("one", 0, [*things[:3], things[4]]), ("other", 0, things[1:])]
    asked = list(twins(rng, Bank(make_frames(tmp_path, entries)), 8))
    assert len(asked) == 2 and sum(noun == "cup" for _, noun in asked) == 1


def test_ink_and_number_of_twins_are_independent(tmp_path, rng):
    """Frames where the fewer things have more ink are rare; they come as often."""
    cups = [thing("cup", (2, 2, 9, 9), "c0"), thing("cup", (12, 2, 9, 9), "c1")]
    entries = [("many cups", 0, [*cups, thing("hat", (2, 50, 12, 12), "h")])]
    for number in range(40):
        cup = 25 if number % 10 in (0, 1) else 8
        hat = 5 if number % 10 in (0, 2) else 12
        hats = [thing("hat", (2 + 20 * k, 30, hat, hat), f"h{k}") for k in (0, 1)]
        entries.append((f"r{number}", 0, [thing("cup", (30, 2, cup, cup)), *hats]))
    kinds = collections.Counter(
        number % 10 if number % 10 < 3 else 3
        for frames, _ in twins(rng, Bank(make_frames(tmp_path, entries)), 24)
        for frame in frames
        if frame.recording != "many cups"
        for number in [int(frame.recording[1:])]
    )
    assert kinds == {0: 6, 1: 6, 2: 6, 3: 6}
