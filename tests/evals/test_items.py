"""Items: the sets that there are, their questions and their faults."""

import pytest

from babyvlm_jax.data.questions import add_rounds
from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.evals.items import (
    ItemSet,
    cluster,
    find_problem,
    find_sets,
    gold_texts,
    is_picture,
    listed_under,
    num_rounds,
    offered,
    option_images,
    option_labels,
    parse_sources,
    read_items,
    round_images,
    round_record,
)
from babyvlm_jax.evals.scoring import chance_metrics
from babyvlm_jax.evals.tasks import TASKS, select_tasks
from babyvlm_jax.runtime.errors import UserError
from tests.evals.fakes import picture
from tests.evals.samples import ITEMS, SAME, THREE, memory, record

TEXT = "<image> How many of cup do you see?"


@pytest.fixture(scope="module")
def shards(tmp_path_factory):
    """Eight items to count, of which two cannot be asked; one for leftright."""
    folder = tmp_path_factory.mktemp("shards")
    items = [record("count", TEXT, str(i + 1), name=f"c{i}") for i in range(8)]
    object.__setattr__(items[2], "images", (b"",))
    object.__setattr__(items[5], "images", items[5].images * 2)  # fewer marks
    write_dataset(folder, "devcv_count", {"test": items, "train": items[:2]}, "tests")
    other = [record("leftright", SAME + THREE, "B", 4)]
    write_dataset(folder, "devcv_leftright", {"test": other}, "tests")
    return str(folder)


def test_sources():
    assert parse_sources("runs/demo/shards") == {"": "runs/demo/shards"}
    assert parse_sources("ego4d=/a,saycam=/b") == {"ego4d": "/a", "saycam": "/b"}
    assert parse_sources("ego4d=/a") == {"ego4d": "/a"}


def test_a_folder_that_is_there_may_have_commas_and_equals_in_its_name(tmp_path):
    folder = tmp_path / "a=1,b"
    folder.mkdir()
    assert parse_sources(f"{folder}") == {"": str(folder)}
    sources = {"made": str(folder), "ego4d": "/nowhere"}
    assert parse_sources(f"made={folder},ego4d=/nowhere") == sources


@pytest.mark.parametrize("text", ["", "/a,/b", "x=/a,x=/b", "x=,y=/b", "x=/a,/b"])
def test_sources_need_names_and_folders(text):
    with pytest.raises(UserError, match=r"config\.shards.*NAME=FOLDER"):
        parse_sources(text)


def keys(sources, *names):
    found, missing = find_sets(sources, names, select_tasks(names), "test")
    return [one.key for one in found], missing


def test_all_takes_what_is_there(shards):
    there, missing = keys({"": shards}, "all")
    assert there == ["leftright", "count"]
    assert len(missing) == 14
    assert "memory" in missing


def test_sources_side_by_side(shards, tmp_path):
    sources = {"nih": shards, "none": str(tmp_path)}
    assert keys(sources, "count") == (["nih/count"], ["none/count"])


def test_a_task_that_was_named_must_be_somewhere(shards, tmp_path):
    with pytest.raises(UserError, match="devcv_memory"):
        keys({"": shards}, "count", "memory")
    with pytest.raises(UserError, match="devcv_lwl"):
        keys({"": str(tmp_path)}, "all")


def test_a_source_has_the_sets_that_were_imported_under_its_name(shards, tmp_path):
    items = [record("count", TEXT, "2", name="theirs")]
    for name in ("devcv_ego4d_count", "devcv_ego4d_memory", "devcv_leftright"):
        write_dataset(tmp_path, name, {"test": items}, "tests")
    sources = {"ego4d": str(tmp_path), "nih": shards}
    tasks = select_tasks(["leftright", "count"])
    found, missing = find_sets(sources, ["leftright", "count"], tasks, "test")
    assert [(one.key, one.task.dataset) for one in found] == [
        ("ego4d/count", "devcv_ego4d_count"),
        ("nih/leftright", "devcv_leftright"),
        ("nih/count", "devcv_count"),
    ]
    assert missing == ["ego4d/leftright"]  # what lies beside is another's
    assert [r.id for r in read_items(found[0], 0, True)[0]] == ["theirs"]


def test_imported_sets_must_be_named(tmp_path):
    items = [record("count", TEXT, "2")]
    for name in ("devcv_saycam_count", "devcv_ego4d_count"):
        write_dataset(tmp_path, name, {"test": items}, "tests")
    with pytest.raises(UserError, match=r"imported as ego4d, saycam; .*shards=ego4d="):
        keys({"": str(tmp_path)}, "devcv")


def count_set(shards, split="test"):
    return ItemSet("nih", shards, TASKS["count"], split)


def test_items_that_cannot_be_asked_are_named(shards):
    records, problems = read_items(count_set(shards), 0, needs_options=True)
    assert [one.id for one in records] == ["c0", "c1", "c3", "c4", "c6", "c7"]
    said = sorted(map(str, problems))
    assert len(said) == 2
    assert said[0] == "nih/count, item 'c2': picture 1 of 1 is missing or damaged"
    assert "1 <image> marks in the turns but 2 images" in said[1]
    assert "'c5'" in said[1]


def test_only_the_first_few(shards):
    records, problems = read_items(count_set(shards), 3, needs_options=True)
    assert len(records) + len(problems) == 3


def test_trained_on(shards):
    assert sorted(r.id for r in count_set(shards).trained_on()) == ["c0", "c1"]
    leftright = ItemSet("", shards, TASKS["leftright"], "test")
    assert leftright.trained_on() == []


DIALOGUE = Record(
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
    second = round_record(DIALOGUE, ["D"])
    assert second.turns == (
        ("human", "new? (A) <image>"),
        ("assistant", "D"),
        ("human", "new? (A) <image> (B) <image>"),
        ("assistant", "B"),
    )
    assert second.images == (b"x", b"x", b"y")
    assert round_record(DIALOGUE, []).images == (b"x",)


def test_image_mark_in_a_reply_is_dropped():
    second = round_record(DIALOGUE, ["<image>D<image>"])
    assert second.turns[1] == ("assistant", "D")


def test_parts_of_a_dialogue():
    assert (num_rounds(DIALOGUE), num_rounds(ONE)) == (3, 1)
    assert gold_texts(DIALOGUE) == ["A", "B", "B"]
    assert round_images(DIALOGUE) == [(b"x",), (b"x", b"y"), (b"y", b"z")]


def test_labels_come_from_the_item_or_from_equal_pictures():
    assert option_labels(
        Record(id="m", source="eval/memory", meta={"labels": [["ball"], ["cup"]]})
    ) == [["ball"], ["cup"]]
    (x,), (x_again, y), (y_again, z) = option_labels(DIALOGUE)
    assert x == x_again
    assert y == y_again
    assert len({x, y, z}) == 3


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_chance_of_the_published_forms_is_the_tasks_own(name):
    task = TASKS[name]
    assert chance_metrics(task, ITEMS[name]) == pytest.approx(dict(task.chance))


def test_chance_follows_the_number_of_options():
    text = "<image> Which? (A) <image> (B) <image> (C) <image> (D) <image>"
    four = record("spatialdetails", text, "D", 5)
    assert chance_metrics(TASKS["spatialdetails"], four) == {"accuracy": 1 / 4}


def test_chance_of_five_and_of_lettered_sides():
    text = "<image> Which? " + " ".join(f"({k}) <image>" for k in "ABCDE")
    five = record("leftright", text, "E", 6)
    assert chance_metrics(TASKS["leftright"], five) == {"accuracy": 1 / 5}
    sides = "<image> Is it (A) left, (B) top left, (C) right or (D) bottom?"
    four = record("vdr_open", sides, "A")
    assert chance_metrics(TASKS["vdr_open"], four) == {
        "exact": 1 / 4,
        "adjacent": 1 / 2,
    }


@pytest.mark.parametrize(
    ("task", "prompt", "answers"),
    [
        ("memory", "Touch the new image. (A) <image>", ("A",)),
        ("leftright", "Same? (A) <image> (B) <image> (C) <image>", ("A", "B", "C")),
        ("compare_real", "More cups? (1) <image> (2) <image>", ("1", "2")),
        ("vdr_binary", "respond ONLY with 'left' or 'right'.", ("right", "left")),
        ("vdr_open", "one of: 'top left', 'top'.", ("top", "top left")),
        ("subitize", "<image> How many of ball do you see?", ("1", "2", "3", "4")),
    ],
)
def test_offered_answers_are_those_of_the_prompt(task, prompt, answers):
    item = record(task, prompt, answers[0], prompt.count("<image>"))
    assert offered(TASKS[task], item) == [answers]
    assert offered(TASKS[task], add_rounds(item)) == [answers]


def test_a_prompt_without_options_is_refused():
    with pytest.raises(UserError, match="offers no letter"):
        offered(TASKS["localize"], record("localize", "<image> where?", "A"))


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("c8bf04e6/7200_7332_lamp", "c8bf04e6"),
        ("count_0", "count_0"),
        ("count_0#2", "count_0#2"),  # another item of the same id
        ("memory_task_26_aug", "memory_task_26"),
        ("memory_task_26", "memory_task_26"),
        ("S_20990101_0100_01_clip_009_original", "S_20990101_0100_01"),
        ("S_20990101_0100_01_clip_002_augmented", "S_20990101_0100_01"),
    ],
)
def test_items_of_a_recording_and_augmented_ones_go_together(name, found):
    item = record("count", "<image>", "1", meta={"recordings": ["b", "a"]})
    assert cluster(item) == "a b"
    assert cluster(Record(id=name, source="eval/vdr_binary")) == found


def test_options_are_the_last_pictures_of_a_round():
    (options,) = option_images(ITEMS["leftright"])
    assert options == {"A": picture(1), "B": picture(2), "C": picture(3)}
    assert option_images(ITEMS["localize"]) == [{}]
    rounds = option_images(memory(6))
    assert [len(options) for options in rounds] == [1, 2, 2, 2, 2, 2]


@pytest.mark.parametrize("name", sorted(ITEMS))
def test_items_without_a_problem(name):
    assert find_problem(TASKS[name], ITEMS[name], needs_options=True) is None


def test_the_right_picture_may_be_there_only_once():
    text = "<image> Which? (A) <image> (B) <image> (C) <image>"
    shown = (picture(1), picture(1), picture(2), picture(1))
    same = Record("x", "eval/leftright", shown, (("human", text), ("assistant", "A")))
    assert find_problem(TASKS["leftright"], same, False) == (
        "options A and C are the same picture, the right one"
    )
    mirrors = Record(
        "x",
        "eval/leftright",
        (picture(1), picture(1), picture(2), picture(2)),
        (("human", text), ("assistant", "A")),
    )
    assert find_problem(TASKS["leftright"], mirrors, False) is None  # as published


@pytest.mark.parametrize("data", [b"", b"no picture", picture(1)[:20]])
def test_a_missing_picture_is_named(data):
    assert not is_picture(data)
    item = Record(
        "x",
        "eval/localize",
        (data,),
        (("human", "<image> (A) top left"), ("assistant", "A")),
    )
    assert find_problem(TASKS["localize"], item, False) == (
        "picture 1 of 1 is missing or damaged"
    )


@pytest.mark.parametrize(
    ("task", "prompt", "gold", "problem"),
    [
        ("localize", "<image> where?", "A", "offers no letter in a form that is known"),
        ("localize", "<image>", "A", "offers no letter"),
        ("leftright", "Same? (A) <image> (C) <image>", "A", "offers no letter"),
        ("leftright", "Same? (A) <image> (B) <image>", "C", "answer 'C' is none that"),
        ("vdr_open", "<image> Go 'left' or 'top'?", "up", "answer 'up' is none that"),
        ("memory", "new? (A) <image>", "A", "one round tests nothing"),
        ("count", "<image> How many of cup do you see?", "many", "answer 'many' is no"),
    ],
)
def test_what_is_not_understood_is_told(task, prompt, gold, problem):
    odd = record(task, prompt, gold, prompt.count("<image>"))
    for needs_options in (False, True):
        assert problem in find_problem(TASKS[task], odd, needs_options)


def test_a_number_beyond_those_on_offer_can_only_be_written():
    odd = record("count", "<image> How many of cup do you see?", "13")
    assert find_problem(TASKS["count"], odd, needs_options=False) is None
    assert "'13' is beyond 12" in find_problem(TASKS["count"], odd, True)


def test_rounds_in_the_meta_must_be_valid():
    bad = record(
        "count", "<image> How many of cup do you see?", "3", meta={"rounds": 1}
    )
    assert "valid entry of 'rounds'" in find_problem(TASKS["count"], bad, False)


@pytest.mark.parametrize(
    "turns", [(), (("human", "a"),), (("assistant", "a"), ("human", "b"))]
)
def test_items_must_be_questions_with_answers(turns):
    odd = Record(id="odd", source="eval/localize", turns=turns)
    assert "human and assistant in turn" in find_problem(TASKS["localize"], odd, False)


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("count", "7"),
        ("picture_vocabulary", "ball"),
        ("vdr_open", "top left"),
        ("localize", "bottom right"),
        ("leftright", ""),
        ("memory", ""),
    ],
)
def test_lines_of_breakdowns(name, line):
    task = TASKS[name]
    assert listed_under(task, ITEMS[name]) == line


@pytest.mark.parametrize(
    ("name", "prompt", "line"),
    [
        ("localize", "<image> (A) bottom left (B) upper right?", "top right"),
        ("vdr_binary", "<image> Is it (A) left or (B) right?", "right"),
        ("count", "<image> How many? (A) 3 (B) 12", "12"),
    ],
)
def test_breakdowns_go_by_what_the_right_answer_says(name, prompt, line):
    assert listed_under(TASKS[name], record(name, prompt, "B")) == line
