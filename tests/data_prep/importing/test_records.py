"""LLaVA conversations -> records."""

import datetime
import decimal
import io

import pytest
from PIL import Image

from data_prep.importing.reading import REASONS, Refusal, Unreadable
from data_prep.importing.records import Llava, Utterances, source_of

HUMAN, ASSISTANT = "human", "assistant"


def jpeg(shade: int) -> bytes:
    out = io.BytesIO()
    Image.new("L", (8, 8), shade).save(out, "JPEG")
    return out.getvalue()


@pytest.fixture
def llava(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(jpeg(60 * number))
    (tmp_path / "broken.jpg").write_bytes(b"no picture")
    return Llava(tmp_path.resolve(), 256, None, "count")


def talk(*values, image=None, **more):
    """A raw record whose turns take turns."""
    roles = ("human", "gpt") * len(values)
    turns = [{"from": r, "value": v} for r, v in zip(roles, values, strict=False)]
    raw = {"id": 7, "conversations": turns, **more}
    return raw if image is None else {**raw, "image": image}


def _refusal(llava, raw) -> str:
    with pytest.raises(Refusal) as refusal:
        llava.record(raw, llava.id(raw, 0))
    assert refusal.value.reason in REASONS
    return refusal.value.reason


def test_a_pair_with_one_path(llava):
    record = llava.record(talk("<image>", "a ball", image="1.jpg"), "7")
    assert (record.id, record.source) == ("7", "image_utterance")
    assert record.images == (jpeg(60),)
    assert record.turns == ((HUMAN, "<image>"), (ASSISTANT, "a ball"))
    assert record.meta == {}


@pytest.mark.parametrize(
    ("raw", "source", "num_images"),
    [
        (talk("<image>" * 3, "look", image=["0.jpg", "1.jpg", "2.jpg"]),
         "video_utterance", 3),
        (talk("<image>", "a", "<image>", "b", image=["0.jpg", "1.jpg"]),
         "interleaved", 2),
        (talk("<image> How many?", "2", image=["0.jpg"]), "instruction/count", 1),
        (talk("Hello?", "yes"), "instruction/count", 0),
        (talk("", "hello there", image=None), "text", 0),
        (talk("", "hello there", image=[]), "text", 0),
    ],
)  # fmt: skip
def test_the_form_tells_the_source(llava, raw, source, num_images):
    record = llava.record(raw, "7")
    assert record.source == source and len(record.images) == num_images


def test_a_record_may_name_its_source_and_the_command_overrules_it(llava, tmp_path):
    raw = talk("", "hello", source="eval/lwl")
    assert llava.record(raw, "7").source == "eval/lwl"
    forced = Llava(tmp_path, 256, "instruction/x", "count")
    assert forced.record(raw, "7").source == "instruction/x"


def test_another_kind_of_source_is_kept_as_meta(llava):
    record = llava.record(talk("", "hello", source="laion"), "7")
    assert record.source == "text" and record.meta == {"source": "laion"}


def test_one_answer_alone_is_text(llava):
    raw = {"id": 1, "conversations": [{"from": "gpt", "value": "night night"}]}
    assert llava.record(raw, "1").turns == ((ASSISTANT, "night night"),)


def test_pictures_alone_must_be_called_frames(llava):
    raw = {"id": 1, "image": "1.jpg", "conversations": []}
    assert _refusal(llava, raw) == "no_turns"
    assert llava.record({**raw, "source": "frames"}, "1").turns == ()


def test_other_fields_become_meta(llava):
    raw = talk("", "x", labels=[["cup"]], bb=[1, 2], meta={"age": 3}, gif="a.gif")
    assert llava.record(raw, "7").meta == {
        "labels": [["cup"]], "bb": [1, 2], "age": 3, "gif": "a.gif"
    }  # fmt: skip
    assert llava.record(talk("", "x", meta='{"age": 3}'), "7").meta == {"age": 3}
    assert llava.record(talk("", "x", meta="{"), "7").meta == {"meta": "{"}
    assert llava.record(talk("", "x", meta=5), "7").meta == {"meta": 5}


def test_files_may_lie_in_the_record(tmp_path):
    llava = Llava(None, 256, None, "count")
    stored = {"bytes": jpeg(9), "path": "a.jpg"}
    raw = {"images": [stored, jpeg(9)], "conversations": talk("<image><image>", "x")
           ["conversations"]}  # fmt: skip
    assert llava.record(raw, "7").images == (jpeg(9), jpeg(9))
    assert _refusal(llava, talk("<image>", "x", image="1.jpg")) == "missing_image"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({"id": "a/b c"}, "a/b c"), ({"id": 12}, "12"), ({"id": 0}, "0"),
     ({"id": 1.0}, "1"), ({"id": -0.0}, "0"), ({"id": decimal.Decimal("7")}, "7"),
     ({"id": float("nan")}, "000000042"), ({}, "000000042"),
     ({"id": None}, "000000042"), ([], "000000042")],
)  # fmt: skip
def test_ids(llava, given, expected):
    assert llava.id(given, 42) == expected


@pytest.mark.parametrize(
    "given",
    [True, 1.5, 2.0**60, 1e308, float("inf"), decimal.Decimal("1.5"), b"a", [], {}, "",
     "x" * 1001],
)  # fmt: skip
def test_bad_ids(llava, given):
    assert _refusal(llava, {"id": given}) == "bad_id"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("text", "not_a_record"),
        (None, "not_a_record"),
        ({"id": 1}, "not_a_record"),
        ({"conversations": {"from": "human"}}, "not_a_record"),
        ({"conversations": ["hello"]}, "not_a_record"),
        (talk("", 5), "not_a_record"),
        (talk("", None), "not_a_record"),
        (talk(), "no_turns"),
        (talk("only a question"), "roles_out_of_order"),
        (talk("", "a", "and?"), "roles_out_of_order"),
        ({"conversations": [{"from": "gpt", "value": "a"}] * 2}, "roles_out_of_order"),
        ({"conversations": [{"from": "system", "value": "a"}]}, "roles_out_of_order"),
        ({"conversations": [{"from": ["gpt"], "value": "a"}]}, "roles_out_of_order"),
        ({"conversations": [{"value": "a"}]}, "roles_out_of_order"),
        (talk("", ""), "empty_answer"),
        (talk("", "a", "", " \n\t"), "empty_answer"),
        (talk("", "<image>", image="1.jpg"), "empty_answer"),
        (talk("<image>", "a"), "image_marks"),
        (talk("", "a", image="1.jpg"), "image_marks"),
        (talk("<image><image>", "a", image=["1.jpg"]), "image_marks"),
        (talk("<image>", "a", image=5), "bad_image_field"),
        (talk("<image>", "a", image=[None]), "bad_image_field"),
        (talk("<image>", "a", image=[["1.jpg"]]), "bad_image_field"),
        (talk("<image>", "a", image={"path": None}), "bad_image_field"),
        (talk("<image>", "a", image=[" "]), "bad_image_field"),
        (talk("<image>", "a", image=""), "image_marks"),
        (talk("What happens?", "a", video="clip.mp4"), "other_medium"),
        (talk("<video>\nWhat happens?", "a"), "other_medium"),
        (talk("What happens?\n<video>", "a", videos=["a.mp4"]), "other_medium"),
        (talk("<audio>\nWhat?", "a", audio="sound.wav"), "other_medium"),
        (talk("What?\n <audio> \nTell", "a", image=[]), "other_medium"),
        (talk("<image>", "a", image="../1.jpg"), "outside_folder"),
        (talk("<image>", "a", image="9.jpg"), "missing_image"),
        (talk("<image>", "a", image="broken.jpg"), "undecodable_image"),
        (talk("", "b\udcffd"), "non_utf8"),
        (talk("<image>", "a", image="\udcff.jpg"), "non_utf8"),
        (talk("", "a", note="\ud800"), "non_utf8"),
        (talk("", "a") | {"id": "\udcff"}, "non_utf8"),
    ],
)
def test_refusals(llava, raw, reason):
    assert _refusal(llava, raw) == reason


@pytest.mark.parametrize("empty", ["", " ", None, []])
def test_an_empty_image_field_is_none(llava, empty):
    raw = talk("What is two and two?", "four") | {"image": empty, "video": empty}
    assert llava.record(raw, "7").images == ()
    assert len(llava.record(raw | talk("<image>", "a", images="1.jpg"), "7").images)


def test_a_video_beside_images_is_a_fact_about_them(llava):
    raw = talk("<image>", "a ball", image="1.jpg", video="clip.mp4")
    assert llava.record(raw, "7").meta == {"video": "clip.mp4"}
    raw = talk("What does the <video> tag of a page do?", "it plays")
    assert llava.record(raw, "7").turns[0][1] == raw["conversations"][0]["value"]


def test_values_that_json_lacks(llava):
    kept = {
        "day": datetime.date(2013, 9, 1),
        "price": decimal.Decimal("0.10"),
        "gap": float("nan"),
        "pairs": [("a", 1)],
    }
    lost = {
        "mask": {"bytes": jpeg(1), "path": None},
        "raw": b"a",
        "most": float("inf"),
        "deep": {"a": [{"b": b"c"}]},
        "cell": Unreadable(),
    }
    raw = talk("", "a", **kept, **lost)
    assert llava.record(raw, "7").meta == {
        "day": "2013-09-01", "price": "0.10", "gap": None, "pairs": [["a", 1]]
    }  # fmt: skip
    assert llava.unused(raw) == list(lost)


def test_meta_as_deep_as_a_well_is_refused(llava):
    deep = []
    for _ in range(60):
        deep = [deep]
    assert _refusal(llava, talk("", "a", note=deep)) == "bad_json"


def test_a_source_is_told_from_the_form():
    pair = ((HUMAN, "<image>\n"), (ASSISTANT, "a"))
    assert source_of(pair, ["f"], "t") == "image_utterance"
    assert source_of(((HUMAN, "<image> what?"), pair[1]), ["f"], "t") == "instruction/t"


def test_a_string_is_squeezed_into_one_turn():
    record = Utterances().record("  look \n at\tthis ", "x")
    assert (record.id, record.source, record.images) == ("x", "text", ())
    assert record.turns == (("assistant", "look at this"),) and record.meta == {}


def test_a_transcript_line_keeps_its_times():
    line = {"start_s": 1.5, "end_s": 2, "text": "hi", "confidence": 0.5,
            "speaker": None, "other": 1}  # fmt: skip
    record = Utterances().record(line, "x")
    assert record.turns == (("assistant", "hi"),)
    assert record.meta == {"start_s": 1.5, "end_s": 2, "confidence": 0.5}


def test_ids_of_utterances_are_numbers():
    assert Utterances().id("any", 12) == "000000012"


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("", "empty_answer"),
        (" \n", "empty_answer"),
        ({"text": ""}, "empty_answer"),
        (5, "not_text"),
        (None, "not_text"),
        (["a"], "not_text"),
        ({"words": "a"}, "not_text"),
        ({"text": 1}, "not_text"),
        ("a\udcff", "non_utf8"),
        ("see <image> this", "image_marks"),
    ],
)
def test_utterances_that_are_refused(raw, reason):
    with pytest.raises(Refusal) as refusal:
        Utterances().record(raw, "x")
    assert refusal.value.reason == reason
