"""A split made part by part: whole or not there, and of one thing only."""

import pytest

from babyvlm_jax.data.schema import RecordSource, write_dataset
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.runtime.lock import held
from data_prep.jobs import Job
from data_prep.stages import staging
from data_prep.stages.staging import SplitJob, make_split
from tests.data_prep.coloured import pair


def _job(out, split="train", **identity):
    return SplitJob(out, "made", split, "test", {"of": "a", **identity}, "test")


def _make(number):
    records = [pair(f"{number}_{i}", {"red": 1}, "red") for i in range(number)]
    return iter(records), {"asked": number}


def _summary(reports):
    return {"asked": sum(report["asked"] for report in reports)}


def test_parts_become_a_split_in_their_order_and_empty_ones_are_none(tmp_path):
    done = make_split(_job(tmp_path), 4, _make, _summary)
    assert (done["records"], done["asked"]) == (6, 6)
    ids = [record.id for record in RecordSource(tmp_path, "made", "train")]
    assert ids == ["1_0", "2_0", "2_1", "3_0", "3_1", "3_2"]
    assert not _job(tmp_path).job().scratch.exists()
    # another split joins, the first stays
    make_split(_job(tmp_path, "val"), 2, _make, _summary)
    assert len(RecordSource(tmp_path, "made", "train")) == 6
    assert len(RecordSource(tmp_path, "made", "val")) == 1


@pytest.mark.parametrize("before", [None, {"of": "b"}])
@pytest.mark.parametrize("moment", ["_chunk", "publish_split", "finish", "after"])
def test_a_kill_at_any_moment_is_made_good(tmp_path, monkeypatch, moment, before):
    whole = make_split(_job(tmp_path / "whole"), 4, _make, _summary)
    out = tmp_path / moment
    if before:  # another split that takes the place of the first
        make_split(_job(out, "val"), 4, _make, _summary)
        make_split(_job(out, **before), 5, _make, _summary)
    calls = []

    def dies(real):
        def called(*args):
            calls.append(args)
            if moment == "_chunk" and len(calls) < 3:
                return real(*args)
            if moment == "after":
                real(*args)
            raise KeyboardInterrupt

        return called

    where = Job if moment == "finish" else staging
    name = "publish_split" if moment == "after" else moment
    with monkeypatch.context() as patch:
        patch.setattr(where, name, dies(getattr(where, name)))
        with pytest.raises(KeyboardInterrupt):
            make_split(_job(out), 4, _make, _summary)
    asked = []
    again = make_split(_job(out), 4, lambda n: asked.append(n) or _make(n), _summary)
    assert again == whole
    assert asked == ([2, 3] if moment == "_chunk" else [])
    assert list(RecordSource(out, "made", "train")) == list(
        RecordSource(tmp_path / "whole", "made", "train")
    )
    if before:
        assert len(RecordSource(out, "made", "val")) == 6


def test_what_others_made_is_left_alone(tmp_path):
    write_dataset(tmp_path, "made", {"train": list(_make(2)[0])}, "by hand")
    with pytest.raises(UserError, match="made/train of an unknown job"):
        make_split(_job(tmp_path), 2, _make, _summary)
    make_split(_job(tmp_path, "val"), 2, _make, _summary)
    other = SplitJob(tmp_path, "made", "val", "other", {"of": "c"}, "other")
    with pytest.raises(UserError, match="holds test as made/val, which differs in of"):
        make_split(other, 2, _make, _summary)


def test_one_process_at_a_time(tmp_path):
    with (
        held(tmp_path / ".jobs", "made-train.lock"),
        pytest.raises(UserError, match="is in use"),
    ):
        make_split(_job(tmp_path), 2, _make, _summary)
    assert make_split(_job(tmp_path), 2, _make, _summary)["records"] == 1


def test_a_split_without_a_record_is_none(tmp_path):
    with pytest.raises(UserError, match="would hold no record"):
        make_split(_job(tmp_path), 1, _make, _summary)
    assert not (tmp_path / "made" / "1.0.0").exists()
