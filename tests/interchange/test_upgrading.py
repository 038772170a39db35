"""What the first edition wrote is brought over in place, and once."""

import json

import pytest

from babyvlm_jax.data.schema import (
    INFO,
    Record,
    RecordSource,
    dataset_dir,
    write_dataset,
)
from babyvlm_jax.evals.results import find_evaluation, read_evaluation
from babyvlm_jax.evals.scoring import Answer, make_line
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.interchange import upgrading
from babyvlm_jax.interchange.upgrading import upgrade
from babyvlm_jax.runtime.errors import UserError
from tests.evals.samples import QUADRANTS, memory, record


def test_shards_get_their_hashes(tmp_path):
    records = {"train": [Record("a", "text")], "val": [Record("b", "text")]}
    folder = write_dataset(tmp_path / "run" / "shards", "demo", records, "d")
    before = RecordSource(tmp_path / "run" / "shards", "demo", "train").fingerprint
    stored = sorted(folder.glob("*.hashes*"))
    for path in stored:
        path.unlink()
    for done in ("hashed", "up to date"):
        lines = list(upgrade(str(tmp_path)))
        assert [line.rpartition(", ")[2] for line in lines] == [done, done]
        assert sorted(folder.glob("*.hashes*")) == stored
    source = RecordSource(tmp_path / "run" / "shards", "demo", "train")
    assert source.fingerprint == before


def item(place, **meta):
    turns = (("human", "<image> How many of cup do you see?"), ("assistant", "3"))
    return Record(f"c{place}", "eval/count", (b"image",), turns, meta)


def test_benchmark_items_get_their_questions(tmp_path, monkeypatch):
    odd = Record("odd", "eval/count", (), (("human", "?"), ("assistant", "so")))
    records = {"train": [item(0)], "test": [item(1, number=3), item(2), odd]}
    write_dataset(tmp_path, "devcv_count", records, "d")
    train = RecordSource(tmp_path, "devcv_count", "train").fingerprint
    described = (dataset_dir(tmp_path, "devcv_count") / INFO).read_bytes()
    order = [one.id for one in RecordSource(tmp_path, "devcv_count", "test")]

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # after the work, before it is published
        patch.setattr(upgrading, "_replace_shards", killed)
        with pytest.raises(KeyboardInterrupt):
            list(upgrade(str(tmp_path)))
    for told in ("3 items, know their questions", "3 items, 1 not understood"):
        lines = list(upgrade(str(tmp_path)))
        assert lines[0] == f"{tmp_path / 'devcv_count'}, test: {told}"
    source = RecordSource(tmp_path, "devcv_count", "test")
    assert [one.id for one in source] == order and not source.faults()
    found = {one.id: one.meta for one in source}
    (entry,) = found["c1"]["rounds"]
    assert (entry["kind"], entry["answer"], found["c1"]["number"]) == ("number", "3", 3)
    assert found["odd"] == {}
    assert RecordSource(tmp_path, "devcv_count", "train").fingerprint == train
    assert (dataset_dir(tmp_path, "devcv_count") / INFO).read_bytes() == described
    assert not list(tmp_path.glob(".upgrade"))


def said_to(task, item, replies, choices):
    yield make_line(TASKS[task], "", item, Answer("generate", "", replies))
    shares = [dict.fromkeys(names, 1 / len(names)) for names in choices]
    yield make_line(TASKS[task], "", item, Answer("choice", "", replies, shares))


@pytest.fixture
def old_run(tmp_path):
    """An evaluation as of the first edition: other statistics, no Holm, too few."""
    localize = [record("localize", QUADRANTS, "A", name=f"i{k}") for k in range(12)]
    dialogues = [memory(6, name=f"m{k}") for k in range(4)]
    for name, items in (("localize", localize), ("memory", dialogues)):
        write_dataset(tmp_path / "shards", f"devcv_{name}", {"test": items}, "d")
    lines = []
    for place, one in enumerate(localize):  # nine of twelve are right
        lines += said_to("localize", one, ["B" if place < 3 else "a"], ["ABCD"])
    for one in dialogues:
        right = [text for role, text in one.turns if role == "assistant"]
        lines += said_to("memory", one, right, ["A", *["AB"] * 5])
    folder = tmp_path / "eval" / "60"
    folder.mkdir(parents=True)
    header = dict.fromkeys(("checkpoint", "kind"), "x") | {"step": 60, "split": "test"}
    header |= {"synthetic": True, "seed": 0, "shards": "/moved/shards", "seconds": 1.0}
    tasks = {"localize": {"protocol": "generate"}, "memory": {"protocol": "generate"}}
    content = {**header, "fingerprints": {}, "problems": [], "tasks": tasks}
    (folder / "results.json").write_text(json.dumps(content | {"overall": {}}))
    (folder / "predictions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return folder


def upgraded(folder):
    lines = list(upgrade(str(folder)))
    return lines, json.loads((folder / "results.json").read_text())


def test_evaluations_are_scored_again_without_the_model(old_run, monkeypatch):
    before = {path.name: path.read_bytes() for path in old_run.iterdir()}
    workdir = old_run.parent.parent
    with pytest.raises(UserError, match=f"convert upgrade {old_run}"):
        read_evaluation(find_evaluation(workdir))

    def killed(folder, name, text):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:  # after results.json was removed
        patch.setattr("babyvlm_jax.evals.run.Folder._write", killed)
        with pytest.raises(KeyboardInterrupt):
            upgraded(old_run)
    assert not (old_run / "results.json").exists()
    lines, content = upgraded(old_run)
    assert lines == [f"{old_run}: 2 of 2 tasks scored again"]
    entry = content["tasks"]["localize"]
    assert (entry["score"], entry["n"], entry["clusters"]) == (0.75, 12, 12)
    assert entry["interval"][0] < 0.75 < entry["interval"][1] < 1
    assert entry["p_value"] < entry["p_holm"] < 0.01  # chance is a quarter
    assert content["tasks"]["memory"]["too_few"]
    assert "context is not known" in content["problems"][0]
    for name, data in before.items():
        assert (old_run / name.replace(".", ".before_upgrade.")).read_bytes() == data
    assert read_evaluation(find_evaluation(workdir)).tasks["memory"].n
    assert upgraded(old_run) == ([f"{old_run}: up to date"], content)


def test_what_cannot_be_scored_again_is_named(old_run):
    path = old_run / "predictions.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    lines[0]["prompt"] = "Something else?"  # the shards were built again since
    del lines[2]["output"]
    lines[5]["likelihoods"] = {"A": 1.0}
    lines += [{**lines[6], "id": "gone"}]
    path.write_text("\n".join(map(json.dumps, lines)))
    dataset = dataset_dir(old_run.parent.parent / "shards", "devcv_memory")
    dataset.rename(dataset.parent.parent / "other")
    told, content = upgraded(old_run)
    assert "memory: not scored again: it is not in" in told[0]
    assert told[1].endswith("1 of 2 tasks scored again")
    assert content["tasks"]["localize"]["score"] == 1.0  # of nine
    for number, (name, why) in enumerate(
        (
            ("i0", "asked something else"),
            ("i1", "'output'"),
            ("i2", "offered"),
            ("gone", "no such item"),
        )
    ):
        assert f"item '{name}': " in content["problems"][number]
        assert why in content["problems"][number]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("predictions.jsonl", "{", "["),
        ("predictions.jsonl", '"control": ""', '"control": "blindfold"'),
        ("predictions.jsonl", '"protocol": "generate"', '"protocol": ""'),
        ("results.json", '"fingerprints": {}', '"fingerprints": []'),
        ("results.json", '"split": "test"', '"split": 3'),
        ("results.json", '"shards"', '"ships"'),
    ],
)
def test_an_evaluation_that_is_none_is_left_as_it_is(old_run, name, old, new):
    path = old_run / name
    path.write_text(path.read_text().replace(old, new))
    before = (old_run / "results.json").read_bytes()
    told = list(upgrade(str(old_run)))
    assert told[-1].startswith(f"{old_run}: left as it is")
    assert (old_run / "results.json").read_bytes() == before
    assert len(list(old_run.iterdir())) == 2


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_of_nothing_is_named(tmp_path, name):
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=name):
        list(upgrade(str(tmp_path / name)))
