import pytest

from data_prep.v1bench import records


@pytest.mark.parametrize(
    ("positive", "negative", "told"),
    [
        ("read book", "eat book", "first"),
        ("car outside", "car inside", "second"),
        ("see person", "touch pillow", "both"),
        ("find M", "find m", "other"),
        ("a b c", "a b d", "third"),
        ("ball", "red ball", "other"),
    ],
)
def test_what_differs(positive, negative, told):
    assert records.difference(positive, negative) == told


def test_options_stand_in_an_order_that_follows_from_the_id():
    images, names = [b"t", b"x", b"y", b"z"], ["ball", "cup", "dog", "car"]
    places = set()
    for number in range(60):
        item = records.labeled_s(f"i{number}", "ball", images, names, 0, {"k": 1})
        place = "ABCD".index(item.turns[1][1])
        places.add(place)
        assert item.images[place] == b"t"
        assert item.meta["options"][place] == "ball"
        assert sorted(item.images) == sorted(images)
        assert item.meta["k"] == 1
    assert places == {0, 1, 2, 3}
    again = records.labeled_s("i3", "ball", images, names, 0, {})
    assert again.images == records.labeled_s("i3", "x", images, names, 0, {}).images


def test_winoground_is_four_questions_about_the_same_pictures():
    item = records.winoground("w", [b"p", b"n"], ["happy bug", "sad bug"], {})
    assert item.images == (b"p", b"n") * 3
    assert [text for role, text in item.turns if role == "assistant"] == list("ABAB")
    shown = [
        [(item.images[i], text) for i, text in options]
        for options in item.meta["pairs"]
    ]
    assert shown == [
        [(b"p", "happy bug"), (b"n", "happy bug")],
        [(b"p", "sad bug"), (b"n", "sad bug")],
        [(b"p", "happy bug"), (b"p", "sad bug")],
        [(b"n", "happy bug"), (b"n", "sad bug")],
    ]
    assert item.meta["difference"] == "first"
    named = records.winoground("w", [b"", b""], ["a b", "c b"], {"part": "adjective"})
    assert named.meta["difference"] == "first (adjective)"
