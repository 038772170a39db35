import json
import os

import pytest

from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import UserError
from data_prep import jobs


def _job(out, **changes):
    found = {
        "out": out,
        "name": "count",
        "kind": "count of x",
        "summary": out / "count.json",
        "identity": {"fps": 1, "inputs": {"a.mp4": "abc"}},
    }
    return jobs.Job(**{**found, **changes})


def _run(job, parts=("a", "b")):
    """Makes one stage a part; gives (summary, parts that were made)."""
    made = []

    def make(part):
        def write(folder):
            made.append(part)
            (folder / "words").write_text(part)
            return {"part": part}

        return write

    with job.begun() as done:
        if done is not None:
            return done, made
        reports = [job.stage({"part": part}, make(part)) for part in parts]
        job.replace()
        return job.finish({"reports": reports}), made


def test_a_finished_job_is_left_alone(tmp_path):
    done, made = _run(_job(tmp_path))
    assert made == ["a", "b"]
    assert done["identity"] == {"fps": 1, "inputs": {"a.mp4": "abc"}}
    assert not _job(tmp_path).scratch.exists()
    assert _run(_job(tmp_path)) == (done, [])


@pytest.mark.parametrize(
    ("identity", "changed"),
    [
        ({"fps": 2, "inputs": {"a.mp4": "abc"}}, "fps (fps: there 1, now 2)"),
        ({"fps": 1, "inputs": {"a.mp4": "other"}}, "inputs/a.mp4 ("),
        ({"fps": 1, "inputs": {}}, "inputs/a.mp4 ("),
    ],
)
def test_a_changed_input_or_setting_makes_it_again(tmp_path, capsys, identity, changed):
    _run(_job(tmp_path))
    done, made = _run(_job(tmp_path, identity=identity))
    assert made == ["a", "b"]
    assert done["identity"] == identity
    assert f"made again, changed: {changed}" in capsys.readouterr().out


def test_a_killed_job_keeps_its_stages(tmp_path):
    with pytest.raises(KeyboardInterrupt), _job(tmp_path).begun():
        _job(tmp_path).stage({"part": "a"}, lambda folder: {"part": "a"})
        _job(tmp_path).stage({"part": "b"}, _die)
    changed = _job(tmp_path, identity={"fps": 3})
    assert _run(changed)[1] == ["b"]  # a does not depend on what has changed


def _die(folder):
    raise KeyboardInterrupt


def test_a_report_cut_by_a_full_disk_is_made_again(tmp_path):
    with pytest.raises(KeyboardInterrupt), _job(tmp_path).begun():
        _job(tmp_path).stage({"part": "a"}, lambda folder: {"part": "a"})
        (report,) = _job(tmp_path).scratch.glob("*/report.json")
        report.write_text("")
        raise KeyboardInterrupt
    assert _run(_job(tmp_path))[1] == ["a", "b"]


def test_another_job_is_refused(tmp_path):
    _run(_job(tmp_path))
    other = _job(tmp_path, kind="count of y", identity={"fps": 2})
    with pytest.raises(UserError, match=r"holds count of x, which differs in fps"):
        _run(other)


def test_another_unfinished_job_is_refused(tmp_path):
    with pytest.raises(KeyboardInterrupt), _job(tmp_path).begun():
        raise KeyboardInterrupt
    with pytest.raises(UserError, match="holds an unfinished count of x"):
        _run(_job(tmp_path, kind="count of y"))


def test_what_nobody_knows_is_refused(tmp_path):
    job = _job(tmp_path, foreign=lambda: ["count/1.0.0"])
    with pytest.raises(UserError, match=r"holds count/1\.0\.0 of an unknown job"):
        _run(job)


def test_two_processes_do_not_make_the_same(tmp_path):
    with (
        lock.held(tmp_path / jobs.FOLDER, "count.lock"),
        pytest.raises(UserError, match="is in use by process"),
    ):
        _run(_job(tmp_path))


def test_a_published_folder_takes_the_place_of_the_old_one(tmp_path):
    job, target = _job(tmp_path), tmp_path / "text" / "1.0.0"

    def write(folder):
        (folder / "1.0.0").mkdir()
        (folder / "1.0.0" / "words").write_text("new")
        return {}

    target.mkdir(parents=True)
    (target / "old").write_text("")
    with job.begun():
        job.stage("words", write)
        job.publish(jobs.stage_folder(job.scratch, "words"), target)
        job.publish(jobs.stage_folder(job.scratch, "words"), target)  # after a kill
        assert [path.name for path in target.iterdir()] == ["words"]


@pytest.mark.parametrize(
    ("identity", "made"), [({"fps": 1}, ["b"]), ({"fps": 2}, ["a", "b"])]
)
def test_a_kill_while_it_published_mixes_nothing(tmp_path, identity, made):
    job = _job(tmp_path, identity={"fps": 1})
    with pytest.raises(KeyboardInterrupt), job.begun():
        job.stage({"part": "a"}, lambda folder: {"part": "a"})
        job.replace()  # and what the stage made may have been moved
        raise KeyboardInterrupt
    assert _run(_job(tmp_path, identity=identity))[1] == made


def test_a_summary_of_the_first_edition_counts_without_inputs(tmp_path):
    first = {"identity": {"fps": 1}}
    (tmp_path / "count.json").write_text(json.dumps(first))
    assert _run(_job(tmp_path)) == (first, [])
    with pytest.raises(UserError, match="an older edition made, which differs in fps"):
        _run(_job(tmp_path, identity={"fps": 2, "inputs": {}}))


def test_contents_are_hashed_once(tmp_path, monkeypatch):
    files = {name: tmp_path / name for name in ("a", "b", "none")}
    for name in ("a", "b"):
        files[name].write_text(name)
        os.utime(files[name], (1, 1))
    first = jobs.Hashes(tmp_path).of(files)
    assert first["none"] == jobs.MISSING
    assert len({*first.values()}) == 3
    read = []
    monkeypatch.setattr(jobs, "sha256", lambda path: read.append(path.name) or "new")
    assert jobs.Hashes(tmp_path).of(files) == first
    assert read == []
    files["a"].write_text("c")  # same size, and new
    assert jobs.Hashes(tmp_path).of(files) == {**first, "a": "new"}
    assert jobs.Hashes(tmp_path).of(files) == {**first, "a": "new"}
    assert read == ["a", "a"]  # too new for its time to tell a change


def test_what_cannot_be_read_is_missing_and_a_damaged_cache_is_none(tmp_path):
    (tmp_path / "folder.mp4").mkdir()
    (tmp_path / "a").write_text("a")
    os.mkfifo(tmp_path / "pipe")
    cache = tmp_path / jobs.FOLDER / jobs.HASHES
    cache.parent.mkdir()
    files = {name: tmp_path / name for name in ("folder.mp4", "pipe", "a")}
    found = [jobs.Hashes(tmp_path).of(files)]
    for damaged in ("", "[1]", '{"x": 3}', "3"):
        cache.write_text(damaged)
        found.append(jobs.Hashes(tmp_path).of(files))
    assert found == [found[0]] * 5
    assert [found[0][name] for name in ("folder.mp4", "pipe")] == [jobs.MISSING] * 2


def test_many_files_are_one_group(tmp_path):
    (tmp_path / "a").write_text("a")
    hashes = jobs.Hashes(tmp_path)
    files = {"coco.json": tmp_path / "a", "frames/1": tmp_path / "a"}
    before = hashes.grouped(files)
    assert before["coco.json"] == hashes.of(files)["coco.json"]
    after = hashes.grouped({**files, "frames/2": tmp_path / "none"})
    assert jobs.difference(before, after).startswith("frames (")
