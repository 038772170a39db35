from data_prep.raw import Recording
from data_prep.stages import pairing
from data_prep.stages.cutting import Clip

RECORDING = Recording("S_1", "S", 212, None, 30.0, "kitchen")
PICTURES = {index: f"jpeg {index}".encode() for index in range(20)}
CLIP = Clip(1.2, 2.7, 0.2, 3.7, "look at the ball")
NEXT = Clip(5.0, 6.0, 4.0, 7.0, "it rolls")
FIRST = pairing.Pictured(CLIP, video=(1, 4, 7), images=((1, 0), (3, 6)), best=6)
SECOND = pairing.Pictured(NEXT, video=(9, 10, 11), images=((1, 8),), best=8)
META = {
    "recording": "S_1",
    "child": "S",
    "age_days": 212,
    "split": "val",
    "start_s": 1.2,
    "end_s": 2.7,
}


def test_text():
    (record,) = pairing.text_records(RECORDING, "val", [CLIP])
    assert (record.id, record.source) == ("S_1_1200_2700", "text")
    assert record.turns == (("assistant", "look at the ball"),)
    assert record.images == ()
    assert record.meta == META


def test_frames_keep_their_number_where_one_is_lost():
    frames = [(0, 0.0), (5, 1.0), (99, 2.0), (15, 3.0)]
    records = pairing.frame_records(RECORDING, "val", frames, PICTURES)
    assert [r.id for r in records] == [f"S_1_frame_{k}" for k in (1, 2, 4)]
    assert [r.images for r in records] == [(b"jpeg 0",), (b"jpeg 5",), (b"jpeg 15",)]
    assert records[2].turns == ()
    assert records[2].source == "frames"
    assert records[2].meta == {**META, "start_s": 3.0, "end_s": 3.0}


def test_image_utterance():
    records = pairing.image_records(RECORDING, "val", [FIRST, SECOND], PICTURES)
    assert [r.id for r in records] == [
        "S_1_1200_2700_frame_1",
        "S_1_1200_2700_frame_3",
        "S_1_5000_6000_frame_1",
    ]
    assert records[1].source == "image_utterance"
    assert records[1].images == (b"jpeg 6",)
    assert records[1].turns == (("human", "<image>"), ("assistant", CLIP.text))
    assert records[1].meta == META


def test_video_utterance():
    record, _ = pairing.video_records(RECORDING, "val", [FIRST, SECOND], PICTURES)
    assert (record.id, record.source) == ("S_1_1200_2700", "video_utterance")
    assert record.images == (b"jpeg 1", b"jpeg 4", b"jpeg 7")
    assert record.turns == (
        ("human", "<image><image><image>"),
        ("assistant", "look at the ball"),
    )
    assert record.meta == META


def test_interleaved():
    clips = [FIRST, SECOND, FIRST]
    first, second = pairing.interleaved_records(
        RECORDING, "val", clips, [(0, 2), (1, 3)], PICTURES
    )
    assert first.id == "S_1_1200_6000_window_1"
    assert second.id == "S_1_5000_6000_window_2"
    assert first.source == "interleaved"
    assert first.images == (b"jpeg 6", b"jpeg 8")
    assert first.turns == (
        ("human", "<image>"),
        ("assistant", "look at the ball"),
        ("human", "<image>"),
        ("assistant", "it rolls"),
    )
    assert first.meta == {**META, "end_s": 6.0}
