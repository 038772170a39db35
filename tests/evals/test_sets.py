import pytest

from babyvlm_jax.data.schema import write_dataset
from babyvlm_jax.evals.items import ItemSet, find_sets, parse_sources, read_items
from babyvlm_jax.evals.tasks import TASKS, select_tasks
from babyvlm_jax.runtime.errors import UserError
from tests.evals.samples import SAME, THREE, record

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
