"""Records -> Parquet -> records."""

import json

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
from tests.data_prep.importing.test_llava import jpeg

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
    assert code == 78 and not (tmp_path / "s").exists()
    assert "x.parquet: not a readable Parquet file" in capsys.readouterr().err
