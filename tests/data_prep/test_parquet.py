"""Records -> Parquet -> records."""

import decimal
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from babyvlm_jax.data.schema import (
    ASSISTANT,
    HUMAN,
    Record,
    RecordSource,
    write_dataset,
)
from data_prep import llava_json, parquet
from tests.data_prep.importing.test_records import jpeg

PAIR = ((HUMAN, "<image> and <image>"), (ASSISTANT, "gr\u00fcn"))
RECORDS = [
    Record("a", "video_utterance", (jpeg(1), jpeg(2)), PAIR, {"age": 3, "who": ["S"]}),
    Record("b", "text", (), ((ASSISTANT, "hello"),)),
    Record("c", "frames", (jpeg(3),)),
    Record("d", "instruction/count", (), ((HUMAN, "How many?"), (ASSISTANT, "2"))),
]


def _run(main, *argv) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in argv])
    return stop.value.code


def test_records_survive_the_way_there_and_back(tmp_path):
    write_dataset(tmp_path, "mine", {"train": RECORDS, "val": RECORDS[:1]}, "test")
    code = _run(parquet.main, tmp_path, "--name=mine", f"--out={tmp_path}/export")
    assert code == 0
    assert sorted(path.name for path in (tmp_path / "export").iterdir()) == [
        "train-00000-of-00001.parquet",
        "val-00000-of-00001.parquet",
    ]
    code = _run(
        llava_json.main, f"--parquet={tmp_path}/export/train-*.parquet", "--name=back",
        "--max-side=0", f"--out={tmp_path}", "--split=train", "--strict",
    )  # fmt: skip
    assert code == 0
    back = sorted(RecordSource(tmp_path, "back", "train"), key=lambda r: r.id)
    assert back == RECORDS


def test_the_files_say_what_they_hold_as_datasets_does(tmp_path):
    (path,) = parquet.export_split(RECORDS, tmp_path, "train")
    info = json.loads(pq.read_schema(path).metadata[b"huggingface"])["info"]
    assert info["features"]["images"] == [{"_type": "Image"}]
    first = pq.read_table(path).to_pylist()[0]
    assert first == {
        "id": "a",
        "source": "video_utterance",
        "images": [{"bytes": jpeg(1), "path": None}, {"bytes": jpeg(2), "path": None}],
        "conversations": [
            {"from": "human", "value": "<image> and <image>"},
            {"from": "gpt", "value": "grün"},
        ],
        "meta": '{"age": 3, "who": ["S"]}',
    }


def test_a_large_split_becomes_several_files(tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "GROUP_ROWS", 2)
    monkeypatch.setattr(parquet, "FILE_BYTES", 100)
    files = parquet.export_split(RECORDS * 2, tmp_path, "train")
    assert [path.name for path in files] == [
        f"train-{number:05d}-of-00004.parquet" for number in range(4)
    ]
    found = [row["id"] for path in files for row in pq.read_table(path).to_pylist()]
    assert found == list("abcdabcd")


def test_a_failed_export_leaves_nothing_and_an_old_one_stays(tmp_path, capsys):
    def broken():
        yield RECORDS[0]
        raise RuntimeError("damage")

    with pytest.raises(RuntimeError):
        parquet.export_split(broken(), tmp_path, "train")
    assert list(tmp_path.iterdir()) == []
    write_dataset(tmp_path, "mine", {"train": RECORDS}, "test")
    argv = (tmp_path, "--name=mine", f"--out={tmp_path}/e")
    assert _run(parquet.main, *argv) == 0 and _run(parquet.main, *argv) == 78
    assert "is already there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--name=none",), "no dataset 'none'"),
        (("--name=mine", "--split=dev"), "no split 'dev'"),
    ],
)
def test_what_is_not_there_is_named(tmp_path, capsys, argv, message):
    write_dataset(tmp_path, "mine", {"train": RECORDS}, "test")
    assert _run(parquet.main, tmp_path, *argv, f"--out={tmp_path}/e") == 78
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_parquet_is_refused(tmp_path, capsys):
    (tmp_path / "x.parquet").write_bytes(b"PAR1 nothing")
    code = _run(
        llava_json.main, f"--parquet={tmp_path}/x.parquet", "--name=x",
        f"--out={tmp_path}/s", "--split=train",
    )  # fmt: skip
    assert code == 78 and not list((tmp_path / "s").glob("[!.]*"))
    assert "x.parquet: not a readable Parquet file" in capsys.readouterr().err


TALK = [{"from": "human", "value": "<image>"}, {"from": "gpt", "value": "a red ball"}]


def _import(tmp_path, out, **columns):
    """Imports three records with these columns; the summary and the records."""
    picture = {"bytes": jpeg(1), "path": None}
    columns = {"image": [picture] * 3, "conversations": [TALK] * 3, **columns}
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    code = _run(llava_json.main, f"--parquet={tmp_path}/t.parquet", "--name=x",
                f"--out={tmp_path / out}", "--split=train", "--workers=1")  # fmt: skip
    assert code == 0
    summary = json.loads((tmp_path / out / "imports/x-train.json").read_text())
    records = RecordSource(tmp_path / out, "x", "train")
    return summary, {record.id: record for record in records}


def test_whole_numbers_beside_a_gap_are_ids(tmp_path):
    summary, records = _import(tmp_path, "out", id=[1.0, 2.5, None])
    assert sorted(records) == ["000000002", "1"]
    assert summary["reasons"] == {"bad_id": 1}


def test_columns_that_json_lacks_are_left_out_and_told(tmp_path, capsys):
    picture = {"bytes": jpeg(2), "path": None}
    text = pa.array([b"ok", b"\xff", b"ok"]).cast(pa.string(), safe=False)
    long = pa.array([1, 2**62, 3], pa.timestamp("ns"))
    summary, records = _import(
        tmp_path, "out", id=["a", "b", "c"], mask=[picture] * 3, note=text, at=long,
        cost=[decimal.Decimal("1.00")] * 3,
    )  # fmt: skip
    assert sorted(records) == ["a", "b", "c"]
    assert summary["unused"] == {"mask": 3, "note": 1}
    assert "the field 'mask' of 3 records is not kept" in capsys.readouterr().out
    assert records["a"].meta["cost"] == "1.00" and "mask" not in records["a"].meta
    assert records["a"].meta["note"] == "ok" and "note" not in records["b"].meta
    assert len(json.dumps(records["b"].meta)) < 200


def test_a_conversation_that_cannot_be_read_costs_one_record(tmp_path):
    said = pa.array([b"a ball", b"\xff", b"a ball"]).cast(pa.string(), safe=False)
    turns = pa.StructArray.from_arrays(
        [pa.array(["gpt"] * 3), said], names=["from", "value"]
    )
    talks = pa.ListArray.from_arrays(pa.array([0, 1, 2, 3]), turns)
    summary, records = _import(
        tmp_path, "out", id=["a", "b", "c"], conversations=talks, image=[None] * 3
    )
    assert sorted(records) == ["a", "c"]
    assert summary["reasons"] == {"not_a_record": 1}
