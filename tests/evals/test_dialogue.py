from babyvlm_jax.data.schema import Record
from babyvlm_jax.evals.items import (
    gold_texts,
    num_rounds,
    option_labels,
    round_images,
    round_record,
)

THREE = Record(
    id="three",
    source="eval/memory",
    images=(b"x", b"x", b"y", b"y", b"z"),
    turns=(
        ("human", "new? (A) <image>"),
        ("assistant", "A"),
        ("human", "new? (A) <image> (B) <image>"),
        ("assistant", "B"),
        ("human", "new? (A) <image> (B) <image>"),
        ("assistant", "B"),
    ),
)
ONE = Record(
    id="one",
    source="eval/localize",
    images=(b"w",),
    turns=(("human", "<image> where?"), ("assistant", "C")),
)


def test_round_record_shows_own_replies_and_the_pictures_so_far():
    second = round_record(THREE, ["D"])
    assert second.turns == (
        ("human", "new? (A) <image>"),
        ("assistant", "D"),
        ("human", "new? (A) <image> (B) <image>"),
        ("assistant", "B"),
    )
    assert second.images == (b"x", b"x", b"y")
    assert round_record(THREE, []).images == (b"x",)


def test_image_mark_in_a_reply_is_dropped():
    second = round_record(THREE, ["<image>D<image>"])
    assert second.turns[1] == ("assistant", "D")


def test_parts_of_a_dialogue():
    assert (num_rounds(THREE), num_rounds(ONE)) == (3, 1)
    assert gold_texts(THREE) == ["A", "B", "B"]
    assert round_images(THREE) == [(b"x",), (b"x", b"y"), (b"y", b"z")]


def test_labels_come_from_the_item_or_from_equal_pictures():
    assert option_labels(
        Record(id="m", source="eval/memory", meta={"labels": [["ball"], ["cup"]]})
    ) == [["ball"], ["cup"]]
    (x,), (x_again, y), (y_again, z) = option_labels(THREE)
    assert x == x_again
    assert y == y_again
    assert len({x, y, z}) == 3
