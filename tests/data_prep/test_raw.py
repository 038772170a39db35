import dataclasses
import json

import pytest

from babyvlm_jax.runtime.errors import UserError
from data_prep.raw import Box, Utterance, read_annotations, read_corpus, read_transcript
from tests.chosen import some
from tests.data_prep import hostile
from tests.data_prep.raw_fixture import (
    TRAIN,
    coco,
    default_lines,
    line,
    write_corpus,
    write_json,
)


def test_corpus_is_read(tmp_path):
    corpus = read_corpus(write_corpus(tmp_path, {TRAIN: "train", "A_2": None}))
    assert (corpus.name, corpus.synthetic, corpus.seed) == ("tiny", True, 0)
    assert [r.split for r in corpus.recordings] == ["train", None]
    assert corpus.recordings[0].age_days == 210
    assert corpus.recordings[0].duration_s == 20.0
    assert corpus.video("A_2") == tmp_path / "videos" / "A_2.mp4"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "is missing; give the folder"),
        ("{", "not a JSON file"),
        ("[]", "expected an object with a list 'recordings'"),
        ('{"recordings": [{"recording": "a"}]}', "recording 'a': child is missing"),
        ('{"recordings": [3]}', "expected an object with 'recording', not 3"),
        ('{"recordings": [], "name": "a\\ud800"}', "name is .* half of a character"),
        ('{"recordings": [], "synthetic": "no"}', "expected true or false"),
        ('{"recordings": []}', "'recordings' is empty"),
        ('{"recordings": [], "recordings": []}', "has a key twice"),
    ],
)
def test_bad_corpus_is_one_line(tmp_path, content, message):
    if content is not None:
        (tmp_path / "corpus.json").write_text(content)
    with pytest.raises(UserError, match=message) as caught:
        read_corpus(tmp_path)
    assert "\n" not in str(caught.value)
    assert "corpus.json" in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split": "dev"}, "recording 'a': split is 'dev': expected one of"),
        ({"recording": "../x"}, "'../x' is no name for a file"),
        ({"recording": "b" * 300}, "expected at most 200"),
        ({"recording": "b\ud800"}, r"'b\\ud800': half of a character"),
        ({"age_days": float("inf")}, "recording 'a': age_days is inf"),
        ({"age_days": float("nan")}, "recording 'a': age_days is nan"),
        ({"duration_s": 10**400}, "recording 'a': duration_s is inf"),
    ],
)
def test_bad_recording_is_named(tmp_path, changes, message):
    item = {"recording": "a", "child": "S", "age_days": 1, "duration_s": 2.0}
    write_json(tmp_path / "corpus.json", {"recordings": [{**item, **changes}]})
    with pytest.raises(UserError, match=message):
        read_corpus(tmp_path)


def test_recording_listed_twice(tmp_path):
    item = {"recording": "a", "child": "S", "age_days": 1, "duration_s": 2.0}
    write_json(tmp_path / "corpus.json", {"recordings": [item, item]})
    with pytest.raises(UserError, match="listed twice: a"):
        read_corpus(tmp_path)


def test_transcript_keeps_usable_lines_in_order(tmp_path):
    path = tmp_path / "t.json"
    lines = [
        line(5.0, 6.0, "  second   line "),
        line(1.0, 2.0, "first"),
        line(3.0, 3.0, "no length"),
        line(4.0, 3.5, "backwards"),
        line(7.0, 8.0, "   "),
        line(-1.0, 8.0, "early"),
        line(float("nan"), 8.0, "when"),
        {"start_s": 9.0, "text": "half"},
        {"start_s": 9.0, "end_s": 10.0, "text": None, "confidence": 1},
        "words",
    ]
    write_json(path, lines)
    utterances, problems = read_transcript(path)
    assert utterances == [
        Utterance(1.0, 2.0, "first", 0.9, "mother"),
        Utterance(5.0, 6.0, "second line", 0.9, "mother"),
    ]
    assert problems[0] == "line 2: end 3.0 s is not after start 3.0 s"
    assert problems[1] == "line 3: end 3.5 s is not after start 4.0 s"
    assert problems[2] == "line 4: no words"
    assert len(problems) == 8
    assert [problem.split(":")[0] for problem in problems] == [
        f"line {number}" for number in range(2, 10)
    ]


@pytest.mark.parametrize("content", [None, "[1, ", '{"a": 1}', b"\xff\xfe"])
def test_unreadable_transcript_names_the_file(tmp_path, content):
    path = tmp_path / "t.json"
    if isinstance(content, str):
        path.write_text(content)
    elif content:
        path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.json"):
        read_transcript(path)


def test_annotations_clip_boxes_and_fall_back(tmp_path):
    raw = coco("r", 2)
    plain = {"id": 7, "image_id": 1, "category_id": 1, "bbox": [-4, 28, 10, 10]}
    outside = {"id": 8, "image_id": 1, "category_id": 1, "bbox": [40, 0, 5, 5]}
    unknown = {"id": 9, "image_id": 1, "category_id": 5, "bbox": [0, 0, 5, 5]}
    nowhere = {"id": 10, "image_id": 99, "category_id": 1, "bbox": [0, 0, 5, 5]}
    raw["annotations"] += [plain, outside, unknown, nowhere]
    write_json(tmp_path / "a.json", raw)
    frames, problems = read_annotations(tmp_path / "a.json")
    assert [(frame.frame_index, frame.time_s) for frame in frames] == [(0, 0), (1, 0.2)]
    first = Box(0, "ball", (0, 8, 8, 8), "ball_red_star_large", "red", "large", 1.0)
    assert frames[0].boxes == (first,)
    assert frames[1].boxes[1] == Box(7, "ball", (0, 28, 6, 4), "7", None, None, 1.0)
    assert len(frames[1].boxes) == 2
    assert [problem.split(":")[0] for problem in problems] == [
        "annotation 3",
        "annotation 4",
        "annotation 5",
    ]
    assert "lies outside its frame" in problems[0]


def test_annotations_that_are_not_coco(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps({"images": []}))
    with pytest.raises(UserError, match=r"a\.json: not COCO"):
        read_annotations(tmp_path / "a.json")


@pytest.mark.parametrize(
    "reader", some(["corpus", "transcript", "annotations"], ("transcript",))
)
def test_no_fault_of_a_file_is_a_traceback(tmp_path, reader):
    """One value at a time is replaced; what is read can be stored and computed with."""
    path = tmp_path / "corpus.json"
    recording = {"recording": "a", "child": "S", "age_days": 1, "duration_s": 2.0}
    read, sound = {
        "corpus": (
            lambda: ([], read_corpus(tmp_path)),
            {"name": "x", "synthetic": True, "seed": 0, "recordings": [recording]},
        ),
        "transcript": (lambda: read_transcript(path), default_lines()),
        "annotations": (lambda: read_annotations(path), coco("r", 2)),
    }[reader]
    outcomes = set()
    for data in hostile.mutations(sound):
        path.write_bytes(data)
        try:
            found, rest = read()
        except UserError as error:
            assert "corpus.json" in str(error)
            str(error).encode()
            outcomes.add("refused")
        else:
            json.dumps([dataclasses.asdict(one) for one in found], allow_nan=False)
            str([found, rest]).encode()
            outcomes.add("read")
    assert outcomes == {"read", "refused"}


def test_annotations_leave_out_what_is_bad(tmp_path):
    raw = coco("r", 5)
    raw["images"][0]["frame_index"] = float("inf")
    raw["images"][1]["width"] = 10**400
    raw["images"][2]["id"] = raw["images"][3]["id"]
    raw["annotations"][4]["bbox"][2] = 10**400
    write_json(tmp_path / "a.json", raw)
    frames, problems = read_annotations(tmp_path / "a.json")
    assert [frame.frame_index for frame in frames] == [2, 4]
    assert [problem.partition(":")[0] for problem in problems] == [
        *("image 0", "image 1", "image 3"),
        *("annotation 0", "annotation 1", "annotation 2", "annotation 4"),
    ]


def test_category_ids_may_be_text(tmp_path):
    raw = coco("r", 2)
    for box in raw["annotations"]:
        box["category_id"] = "1"
    write_json(tmp_path / "a.json", raw)
    frames, problems = read_annotations(tmp_path / "a.json")
    assert not problems
    assert [len(frame.boxes) for frame in frames] == [1, 1]
