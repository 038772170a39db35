"""The statistics, on the numbers of the audit of the public release."""

import numpy as np
import pytest

from data_prep.devcv.audit.checks import ALPHA, effective, interval, surprise


def test_wilson_interval():
    low, high = interval(50, 100)
    # z = 2.576: middle .5, half sqrt(.0025 + z^2 / 40000) / (1 + z^2 / 100)
    assert (round(low, 4), round(high, 4)) == (0.3753, 0.6247)
    assert interval(0, 0) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("share", "number", "size", "is_skew"),
    [
        (0.296, 992, 4, True),  # localize
        (0.512, 939, 2, False),  # compare_real
        (0.352, 1009, 3, False),  # leftright
        (0.275, 346, 4, False),  # picture_vocabulary
    ],
)
def test_skews_of_the_public_release(share, number, size, is_skew):
    assert (surprise(round(share * number), number, size) < ALPHA) == is_skew


def test_surprise_of_every_answer_the_same():
    assert surprise(3, 3, 2) == 2 * 0.5**3


def test_questions_that_go_together_count_less():
    right = np.array([True] * 50 + [False] * 50)
    pairs = [str(k // 2) for k in range(100)]
    assert effective(right, pairs) == pytest.approx(45.3, abs=0.2)
    assert effective(right, [str(k) for k in range(100)]) == 100
    # two recordings that agree are still two; a single one tells nothing of others
    assert effective(right, ["a", "b"] * 50) < 1
    assert effective(right, ["a"] * 100) == 0
    assert interval(0.5 * 0, 0) == (0, 1)
    # all right in ten recordings: ten at most
    assert 5 < effective(np.ones(100, bool), [str(k // 10) for k in range(100)]) < 10
