import itertools

import pytest

from data_prep.stages.windows import windows


@pytest.mark.parametrize(
    ("num_clips", "expected"),
    [
        (3, []),
        (4, [(0, 4)]),
        (8, [(0, 4), (2, 6), (4, 8)]),
        (9, [(0, 4), (2, 6), (4, 8)]),
    ],
)
def test_windows_of_four_stride_two(num_clips, expected):
    assert windows(num_clips, 4, 4, seed=0, recording="r") == expected


def test_last_window_may_be_shorter_than_drawn():
    for seed in range(20):
        assert windows(4, 4, 8, seed=seed, recording="r") == [(0, 4)]


def test_lengths_are_drawn_between_the_bounds():
    found = windows(400, 4, 8, seed=0, recording="S_1")
    lengths = {after - first for first, after in found[:-1]}
    assert lengths == {4, 5, 6, 7, 8}
    assert found[-1][1] == 400
    for (first, after), (second, _) in itertools.pairwise(found):
        assert second - first == (after - first) // 2


def test_lengths_follow_seed_and_recording():
    found = windows(60, 4, 8, seed=0, recording="S_1")
    assert windows(60, 4, 8, seed=0, recording="S_1") == found
    assert windows(60, 4, 8, seed=1, recording="S_1") != found
    assert windows(60, 4, 8, seed=0, recording="S_2") != found
