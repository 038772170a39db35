"""The command for plain text."""

import json

import pytest

from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.errors import UserError
from data_prep import text_corpus


def _run(*argv) -> int:
    with pytest.raises(SystemExit) as stop:
        text_corpus.main([str(one) for one in argv])
    return stop.value.code


def _said(shards, name="text"):
    return [r.turns[0][1] for r in RecordSource(shards, name, "train")]


def test_a_list_of_utterances(tmp_path, capsys):
    (tmp_path / "corpus_train.json").write_text(json.dumps(["look", "", "a  ball"]))
    code = _run(
        f"--file={tmp_path}/corpus_train.json", f"--out={tmp_path}", "--split=train"
    )
    assert code == 0 and _said(tmp_path) == ["look", "a ball"]
    assert "text/train: 2 records" in capsys.readouterr().out


def test_lines_and_transcripts_of_several_files(tmp_path):
    (tmp_path / "a.txt").write_text("one\n\ntwo\n")
    line = {"start_s": 1.0, "end_s": 2.0, "text": "three", "confidence": 0.9}
    (tmp_path / "b.json").write_text(json.dumps([line]))
    code = _run(
        f"--file={tmp_path}/*.txt", f"--file={tmp_path}/b.json", "--name=stories",
        f"--out={tmp_path}", "--split=train", "--workers=1",
    )  # fmt: skip
    assert code == 0 and _said(tmp_path, "stories") == ["one", "two", "three"]
    records = list(RecordSource(tmp_path, "stories", "train"))
    assert [r.id for r in records] == ["a/000000000", "a/000000001", "b/000000000"]
    assert records[2].meta == {"start_s": 1.0, "end_s": 2.0, "confidence": 0.9}


def test_files_that_cannot_be_told_apart_are_refused(tmp_path):
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.txt").write_text("hello")
    args = text_corpus.parser().parse_args(
        [f"--file={tmp_path}/*/a.txt", "--out=o", "--split=train"]
    )
    with pytest.raises(UserError, match="several files are called 'a'"):
        text_corpus.plan(args)


def test_a_missing_file_is_named(tmp_path, capsys):
    assert _run(f"--file={tmp_path}/no.txt", "--out=o", "--split=train") == 78
    assert "no.txt: no such file" in capsys.readouterr().err
