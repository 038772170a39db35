"""Whole imports: what comes out, resumed, repeated, refused."""

import concurrent.futures
import json
import pathlib
import shutil
import threading
import time

import pytest

from babyvlm_jax.data import shards
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import UserError
from data_prep.importing import engine
from data_prep.importing.engine import Import, lines, run_import
from data_prep.importing.reading import Input
from data_prep.importing.records import Llava, Utterances
from tests.data_prep.importing.test_records import jpeg, talk

WORDS = ("look", "at", "the", "red", "ball", "over", "there")


def _write_json(path, raws):
    path.write_text(json.dumps(raws))
    return path


@pytest.fixture
def world(tmp_path):
    """20 records, 4 of them bad, in batches of 4."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(20):
        (images / f"{number}.jpg").write_bytes(jpeg(10 * number))
    raws = [talk("<image>", WORDS[i % 7], image=f"{i}.jpg") for i in range(20)]
    raws = [raw | {"id": i} for i, raw in enumerate(raws)]
    raws[3]["id"] = 2
    raws[8]["image"] = "none.jpg"
    raws[9]["conversations"][1]["value"] = " "
    raws[19] = "a string"
    return _write_json(tmp_path / "pairs.json", raws), images.resolve()


def _job(world, out, **more):
    path, images = world
    settings = {
        "inputs": (Input(path, "json"),),
        "converter": Llava(images, 256, None, "pairs"),
        "out": out,
        "name": "pairs",
        "split": "train",
        "description": "for a test",
        "batch_size": 4,
    }
    return Import(**(settings | more))


def _files(out) -> dict[str, bytes]:
    return {
        str(path.relative_to(out)): path.read_bytes()
        for path in sorted(out.rglob("*"))
        if path.is_file() and ".jobs" not in path.parts
    }


KEPT = [str(i) for i in range(20) if i not in (3, 8, 9, 19)]


def test_what_can_be_used_goes_in_and_the_rest_is_listed(world, tmp_path):
    job = _job(world, tmp_path / "out")
    summary = run_import(job)
    records = list(RecordSource(job.out, "pairs", "train"))
    assert [record.id for record in records] == KEPT
    assert records[5].images == (jpeg(60),)
    assert records[5].turns == (("human", "<image>"), ("assistant", "there"))
    counts = {"records": 16, "images": 16, "turns": 32, "words": 16}
    assert summary["sources"] == {"image_utterance": counts}
    assert summary["reasons"] == {
        "not_a_record": 1,
        "duplicate_id": 1,
        "empty_answer": 1,
        "missing_image": 1,
    }
    assert [(s["number"], s["id"], s["reason"]) for s in summary["skipped"]] == [
        (3, "2", "duplicate_id"),
        (8, "8", "missing_image"),
        (9, "9", "empty_answer"),
        (19, "000000019", "not_a_record"),
    ]
    assert json.loads(job.summary.read_text())["skipped"] == summary["skipped"]
    assert not list((job.out / ".jobs").glob("*/"))


def test_the_lines_that_tell_it(world, tmp_path):
    job = _job(world, tmp_path / "out")
    assert lines(run_import(job), pathlib.Path("S.json")) == [
        "pairs/train: 16 records",
        "  image_utterance  16 records, 16 images, 32 turns, 16 words",
        "  left out 4, listed in S.json",
        "    not_a_record   1  not an object with a list of conversations",
        "    duplicate_id   1  an earlier record of the split has the same id",
        "    empty_answer   1  an answer without a word",
        "    missing_image  1  there is no such image file",
    ]


@pytest.mark.usefixtures("processes")
def test_the_shards_are_the_same_whatever_the_number_of_processes(world, tmp_path):
    run_import(_job(world, tmp_path / "one"))
    run_import(_job(world, tmp_path / "two", num_processes=2))
    assert _files(tmp_path / "one") == _files(tmp_path / "two")


@pytest.mark.parametrize("killed_after", [0, 1, 3, 4])
def test_a_killed_import_goes_on_to_the_same_shards(
    world, tmp_path, monkeypatch, killed_after
):
    class Killed(BaseException):
        pass

    convert, done = engine.convert_batch, []

    def until_killed(folder, batch, converter):
        if len(done) == killed_after:
            raise Killed
        done.append(batch.first // 4)
        return convert(folder, batch, converter)

    job = _job(world, tmp_path / "cut")
    monkeypatch.setattr(engine, "convert_batch", until_killed)
    with pytest.raises(Killed):
        run_import(job)
    assert not (job.out / "pairs").exists() and not job.summary.exists()
    killed_after = -1  # never again
    before = list(done)
    run_import(job)
    assert sorted(done) == [0, 1, 2, 3, 4] and done[: len(before)] == before
    whole = _job(world, tmp_path / "whole")
    run_import(whole)
    assert _files(job.out) == _files(whole.out)


@pytest.mark.parametrize("published", [False, True])
def test_an_import_killed_while_it_is_published_goes_on(
    world, tmp_path, monkeypatch, published
):
    class Killed(BaseException):
        pass

    publish = engine.publish_split

    def publish_and_die(*args):
        if published:
            publish(*args)
        raise Killed

    job = _job(world, tmp_path / "cut")
    with monkeypatch.context() as patch, pytest.raises(Killed):
        patch.setattr(engine, "publish_split", publish_and_die)
        run_import(job)
    assert not job.summary.exists()
    run_import(job)
    assert [r.id for r in RecordSource(job.out, "pairs", "train")] == KEPT
    assert job.summary.exists() and not list((job.out / ".jobs").glob("*/"))


def test_the_same_import_again_does_nothing(world, tmp_path):
    job = _job(world, tmp_path / "out")
    first, before = run_import(job), _files(job.out)
    assert run_import(job) == first and _files(job.out) == before


def test_another_import_of_the_split_is_refused(world, tmp_path):
    job = _job(world, tmp_path / "out")
    run_import(job)
    path = _write_json(tmp_path / "other.json", [talk("", "a")])
    with pytest.raises(UserError, match=r"holds import of pairs\.json as pairs/train"):
        run_import(_job((path, world[1]), job.out))
    job.summary.unlink()
    with pytest.raises(UserError, match="the split 'train' of 'pairs' of an unknown"):
        run_import(job)


def test_a_changed_file_or_setting_makes_the_split_again(world, tmp_path, capsys):
    job = _job(world, tmp_path / "out", batch_size=2)
    run_import(job)
    run_import(_job(world, job.out, split="val"))
    raws = json.loads(world[0].read_text())[:2]
    _write_json(world[0], raws)
    run_import(job)
    assert "made again, changed: files" in capsys.readouterr().out
    assert [r.id for r in RecordSource(job.out, "pairs", "train")] == ["0", "1"]
    assert len(RecordSource(job.out, "pairs", "val")) == 16
    assert len(list(job.out.glob("pairs/1.0.0/pairs-train.array_record-*"))) == 1
    fresh = _job(world, tmp_path / "fresh", batch_size=2)
    assert run_import(fresh) == run_import(job)


def test_two_splits_imported_at_once_both_join_the_dataset(
    world, tmp_path, monkeypatch
):
    """Each reads what splits there are before the other has added its own."""
    publish, both = engine.publish_split, threading.Barrier(2)
    known = shards._known_splits

    def publish_together(*args):
        both.wait(timeout=60)
        return publish(*args)

    monkeypatch.setattr(engine, "publish_split", publish_together)
    monkeypatch.setattr(
        shards, "_known_splits", lambda *args: (known(*args), time.sleep(0.1))[0]
    )
    out = tmp_path / "out"  # twice: a new dataset, and one with splits
    for splits in (("train", "val"), ("test", "more")):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(run_import, [_job(world, out, split=s) for s in splits]))
    assert sorted(shards.splits_of(out, "pairs")) == ["more", "test", "train", "val"]
    for split in ("train", "val", "test", "more"):
        assert len(RecordSource(out, "pairs", split)) == 16


def test_a_split_that_another_process_imports_is_refused(world, tmp_path):
    job = _job(world, tmp_path / "out")
    with (
        lock.held(job.out / ".jobs", "pairs-train.lock"),
        pytest.raises(UserError, match="is in use by"),
    ):
        run_import(job)


def test_a_dataset_that_was_deleted_is_imported_again(world, tmp_path):
    job = _job(world, tmp_path / "out")
    run_import(job)
    shutil.rmtree(job.out / "pairs")
    other = _job(world, job.out, converter=Llava(world[1], 0, None, "pairs"))
    assert run_import(other)["identity"]["converter"]["max_side"] == "0"
    assert [r.id for r in RecordSource(job.out, "pairs", "train")] == KEPT


def test_a_second_split_joins_the_dataset(world, tmp_path):
    run_import(_job(world, tmp_path / "out"))
    run_import(_job(world, tmp_path / "out", split="val"))
    for split in ("train", "val"):
        assert len(RecordSource(tmp_path / "out", "pairs", split)) == 16


def test_strict_ends_at_a_bad_record_and_leaves_nothing(world, tmp_path):
    job = _job(world, tmp_path / "out", strict=True)
    with pytest.raises(UserError, match=r"record 3 of pairs.json \(id '2'\) cannot"):
        run_import(job)
    assert not _files(job.out)


def test_strict_is_also_heard_after_the_import(world, tmp_path):
    run_import(_job(world, tmp_path / "out"))
    with pytest.raises(UserError, match="duplicate_id"):
        run_import(_job(world, tmp_path / "out", strict=True))


def test_a_file_that_breaks_off_leaves_nothing(world, tmp_path):
    text = world[0].read_text()
    world[0].write_text(text[:-100])
    job = _job(world, tmp_path / "out")
    with pytest.raises(UserError, match="not a JSON list"):
        run_import(job)
    assert not _files(job.out)


def test_no_usable_record_is_an_error(tmp_path):
    path = _write_json(tmp_path / "bad.json", [talk("", ""), 5])
    job = _job((path, tmp_path), tmp_path / "out")
    expected = r"no record of bad.json .* \(empty_answer 1, not_a_record 1; the first"
    with pytest.raises(UserError, match=expected):
        run_import(job)
    _write_json(path, [])
    with pytest.raises(UserError, match="there is none"):
        run_import(job)


@pytest.mark.parametrize("batch_size", [1, 3, 10])
def test_an_id_that_was_left_out_is_free(tmp_path, batch_size):
    """The first record of an id that can be used has it, wherever it stands."""
    (tmp_path / "ball.jpg").write_bytes(jpeg(0))

    def one(record_id, file, said):
        return talk("<image>", said, image=file) | {"id": record_id}

    raws = [
        one("a", "gone.jpg", "no picture"),
        one("b", "ball.jpg", "b"),
        one("a", "ball.jpg", " "),
        one("c", "ball.jpg", "c"),
        one("a", "ball.jpg", "a"),
        one("a", "ball.jpg", "too late"),
        one("b", "ball.jpg", "too late"),
        one("d", "gone.jpg", "no picture"),
        one("d", "gone.jpg", "no picture either"),
    ]
    path = _write_json(tmp_path / "same.json", raws)
    job = _job((path, tmp_path), tmp_path / "out", batch_size=batch_size)
    summary = run_import(job)
    records = {r.id: r.turns[-1][1] for r in RecordSource(job.out, "pairs", "train")}
    assert records == {"a": "a", "b": "b", "c": "c"}
    assert [(one["number"], one["reason"]) for one in summary["skipped"]] == [
        (0, "missing_image"),
        (2, "empty_answer"),
        (5, "duplicate_id"),
        (6, "duplicate_id"),
        (7, "missing_image"),
        (8, "missing_image"),
    ]
    assert summary["sources"]["image_utterance"]["records"] == 3
    assert run_import(job) == summary


def test_records_of_a_repeated_id_can_be_kept(tmp_path):
    raws = [talk("", word) | {"id": 1} for word in ("a", "b", "c")]
    raws += [talk("", "d") | {"id": "1#2"}, talk("", "e") | {"id": 5}]
    path = _write_json(tmp_path / "same.json", raws)
    converter = Llava(None, 256, None, "x", rename_repeated=True)
    run_import(_job((path, None), tmp_path / "out", converter=converter))
    found = {r.id: r.turns[-1][1] for r in RecordSource(tmp_path / "out", "pairs",
             "train")}  # fmt: skip
    assert found == {"1": "a", "1#2": "b", "1#3": "c", "1#2#2": "d", "5": "e"}


def test_ids_of_two_files_are_told_apart_by_their_prefix(tmp_path):
    inputs = []
    for name in ("a", "b"):
        path = _write_json(tmp_path / f"{name}.json", ["hello", "bye"])
        inputs.append(Input(path, "json", f"{name}/"))
    job = _job((None, None), tmp_path / "out", inputs=tuple(inputs),
               converter=Utterances())  # fmt: skip
    run_import(job)
    assert [r.id for r in RecordSource(job.out, "pairs", "train")] == [
        "a/000000000", "a/000000001", "b/000000000", "b/000000001"
    ]  # fmt: skip


def test_one_utterance_a_line(tmp_path):
    path = tmp_path / "said.txt"
    path.write_bytes("look \nthere\n\n {not json\nb\xfcse\n".encode("latin-1"))
    job = _job((None, None), tmp_path / "out", inputs=(Input(path, "lines"),),
               converter=Utterances())  # fmt: skip
    summary = run_import(job)
    said = [r.turns[0][1] for r in RecordSource(job.out, "pairs", "train")]
    assert said == ["look", "there", "{not json"]
    assert summary["reasons"] == {"non_utf8": 1}


def test_broken_lines_of_json_lines_cost_one_record_each(tmp_path):
    path = tmp_path / "f.jsonl"
    good = json.dumps(talk("", "hello"))
    path.write_text(f"{good}\n{good[:-9]}\n" + '{"id": 8, "conversations": []}\n')
    converter = Llava(None, 256, None, "x")
    summary = run_import(_job((path, None), tmp_path / "out", converter=converter))
    assert summary["reasons"] == {"bad_json": 1, "no_turns": 1}
    assert [one["number"] for one in summary["skipped"]] == [1, 2]
