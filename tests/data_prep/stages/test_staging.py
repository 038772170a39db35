"""A split made part by part: whole or not there, and of one thing only."""

import pytest

from babyvlm_jax.data.schema import RecordSource, write_dataset
from babyvlm_jax.errors import UserError
from babyvlm_jax.lock import held
from data_prep.stages import staging
from data_prep.stages.staging import SplitJob, make_split
from tests.data_prep.coloured import pair


def _job(out, split="train", **identity):
    return SplitJob(out, "made", split, {"kind": "test", **identity}, "test")


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
    assert sorted(path.name for path in tmp_path.iterdir()) == ["made"]
    # another split joins, the first stays
    make_split(_job(tmp_path, "val"), 2, _make, _summary)
    assert len(RecordSource(tmp_path, "made", "train")) == 6
    assert len(RecordSource(tmp_path, "made", "val")) == 1


def test_a_kill_at_any_moment_is_made_good(tmp_path, monkeypatch):
    whole = make_split(_job(tmp_path / "whole"), 4, _make, _summary)
    for moment in ("_chunk", "publish_split", "write_json"):
        calls, real = [], getattr(staging, moment)

        def dies(*args, real=real, calls=calls, moment=moment):
            calls.append(args)
            if moment == "write_json" and "summary" not in str(args[0]):
                return real(*args)
            if moment != "_chunk" or len(calls) == 3:
                raise KeyboardInterrupt
            return real(*args)

        out = tmp_path / moment
        with monkeypatch.context() as patch:
            patch.setattr(staging, moment, dies)
            with pytest.raises(KeyboardInterrupt):
                make_split(_job(out), 4, _make, _summary)
        asked = []
        again = make_split(
            _job(out), 4, lambda n, asked=asked: asked.append(n) or _make(n), _summary
        )
        assert again == whole
        assert asked == ([2, 3] if moment == "_chunk" else [])
        assert list(RecordSource(out, "made", "train")) == list(
            RecordSource(tmp_path / "whole", "made", "train")
        )


def test_what_others_made_is_left_alone(tmp_path):
    write_dataset(tmp_path, "made", {"train": list(_make(2)[0])}, "by hand")
    with pytest.raises(UserError, match="did not make"):
        make_split(_job(tmp_path), 2, _make, _summary)
    make_split(_job(tmp_path, "val"), 2, _make, _summary)
    with pytest.raises(UserError, match="differs in colour, kind"):
        make_split(_job(tmp_path, "val", colour="red", kind="?"), 2, _make, _summary)


def test_one_process_at_a_time(tmp_path):
    folder = tmp_path / ".staging" / "made"
    with held(folder), pytest.raises(UserError, match="is in use"):
        make_split(_job(tmp_path), 2, _make, _summary)
    assert make_split(_job(tmp_path), 2, _make, _summary)["records"] == 1


def test_a_split_without_a_record_is_none(tmp_path):
    with pytest.raises(UserError, match="would hold no record"):
        make_split(_job(tmp_path), 1, _make, _summary)
    assert not (tmp_path / "made" / "1.0.0").exists()
