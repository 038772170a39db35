import pytest

from data_prep.raw import Utterance
from data_prep.stages.cutting import Clip, cut


def _line(start_s, end_s, text="a ball", confidence=0.9):
    return Utterance(start_s, end_s, text, confidence, "mother")


def _cut(*lines, video_s=30.0):
    return cut(lines, video_s, min_duration_s=0.5, min_confidence=0.3, pad_s=1.0)


def test_clip_is_padded_by_a_second():
    found = _cut(_line(5.0, 6.5))
    assert found.clips == (Clip(5.0, 6.5, 4.0, 7.5, "a ball"),)
    assert found.clips[0].span == "5000_6500"
    assert (found.dropped, found.overlapping, found.faults) == ({}, 0, ())


def test_padding_stops_at_the_ends_of_the_video():
    first, last = _cut(_line(0.4, 1.0), _line(29.5, 31.0)).clips
    assert (first.from_s, first.to_s) == (0.0, 2.0)
    assert (last.from_s, last.to_s) == (28.5, 30.0)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (_line(1.0, 1.49), "short"),
        (_line(1.0, 2.0, confidence=0.29), "unsure"),
        (_line(30.0, 31.0), "outside"),
    ],
)
def test_dropped(line, reason):
    found = _cut(line)
    assert found.clips == ()
    assert found.dropped == {reason: 1}
    assert len(found.faults) == (reason == "outside")


def test_limits_are_kept():
    assert len(_cut(_line(2.1, 2.6, confidence=0.3)).clips) == 1  # 0.5 s but for floats


def test_same_times_twice_and_overlaps():
    found = _cut(
        _line(1.0, 3.0), _line(1.0, 3.0), _line(1.0, 3.0, "b"), _line(2.9, 4.0)
    )
    assert [clip.text for clip in found.clips] == ["a ball", "a ball"]
    assert found.dropped == {"repeated": 2}
    assert found.overlapping == 1
    assert found.faults == (
        "1000_3000: a second line with these times; dropped",
        "1000_3000: a second line with these times; dropped",
        "2900_4000: overlaps 1000_3000; both kept",
    )
