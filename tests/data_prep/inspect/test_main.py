"""The command: what it prints and writes."""

import os
import re
import shutil

import pytest
from PIL import Image

from babyvlm_jax.data.schema import Record, write_dataset
from data_prep.inspect.__main__ import main


def _run(*argv) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in argv])
    return stop.value.code


def test_the_text(shelf, capsys):
    assert _run(shelf.shards, "--name=pairs", "--split=train", "--first=1") == 0
    assert capsys.readouterr().out.splitlines()[:16] == [
        "pairs/train",
        "===========",
        "",
        "source              records      images       turns       words",
        "image_utterance          30          30          60         110",
        "",
        "words in a record: least 1, median 5, mean 3.7, 95 % at most 5, most 5",
        "",
        "    1  ████████████████████                      10 (33.3%)",
        "    2                                            0 (0.0%)",
        "    3                                            0 (0.0%)",
        "    4                                            0 (0.0%)",
        "  5-6  ████████████████████████████████████████  20 (66.7%)",
        "",
        "answers have 110 words, 7 different, 0 of them once",
        "  ball 30, the 20, red 20, is 10, there 10, look 10, at 10",
    ]


def test_every_split_is_shown_unless_one_is_named(shelf, capsys):
    assert _run(shelf.shards, "--first=0") == 0
    out = capsys.readouterr().out
    for title in ("frames/train", "pairs/train", "pairs/val", "text/train"):
        assert f"{title}\n{'=' * len(title)}\n" in out
    _run(shelf.shards, "--first=0", "--split=val")
    assert re.findall(r"^\w+/\w+$", capsys.readouterr().out, re.M) == ["pairs/val"]


def test_a_part_is_told_to_be_one(shelf, capsys):
    assert _run(shelf.shards, "--name=pairs", "--split=train", "--limit=10") == 0
    out = capsys.readouterr().out
    assert "image_utterance          10          10" in out
    assert "(in 10 of 30 records, evenly spaced" in out


def test_the_page_and_the_sheet(shelf, tmp_path, capsys):
    page, sheet = tmp_path / "look.html", tmp_path / "look.png"
    code = _run(
        shelf.shards, f"--tokenizer={shelf.tokenizer}", f"--html={page}",
        f"--sheet={sheet}", "--fill", "--records=2", "--tokens-per-image=7",
    )  # fmt: skip
    assert code == 0
    html = page.read_text()
    assert html.count('<article class="record">') == 8
    assert html.count("data:image/jpeg;base64,") == 5  # 4 pairs, 1 whole frame
    assert "cannot be decoded" in html and "<script" not in html
    assert "&lt;" in html and "<b>red</b>" not in html
    assert '<span class="token supervised first"' in html
    assert "How rows fill" in html and "best" in html
    assert Image.open(sheet).size[0] > 160
    assert "best: --config.data.seq_len=" in capsys.readouterr().out
    assert sorted(p.name for p in tmp_path.iterdir()) == ["look.html", "look.png"]


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--html=x.html",), "--html and --fill need --tokenizer"),
        (("--fill",), "--html and --fill need --tokenizer"),
        (("--limit=0",), "--limit=0 is too small"),
        (("--first=-1",), "--first=-1 is too small"),
        (("--template=none",), "no template 'none'"),
        (("--name=none",), "no dataset 'none'"),
        (("--split=none",), "no split none"),
        (("--tokenizer=none.model",), "no tokenizer none.model"),
        (("--sheet=/none/such.png",), "such.png: cannot be written"),
    ],
)
def test_bad_flags(shelf, capsys, argv, message):
    assert _run(shelf.shards, *argv) == 78
    assert message in capsys.readouterr().err


def test_a_folder_without_datasets(tmp_path, capsys):
    assert _run(tmp_path) == 78
    assert "contains no datasets" in capsys.readouterr().err


def test_fill_needs_conversations(shelf, capsys):
    code = _run(shelf.shards, "--name=frames", "--fill",
                f"--tokenizer={shelf.tokenizer}")  # fmt: skip
    assert code == 78 and "no split has conversations" in capsys.readouterr().err


def test_verify_names_what_differs(shelf, tmp_path, capsys):
    shards = tmp_path / "shards"
    shutil.copytree(shelf.shards, shards)
    assert _run(shards, "--verify") == 0
    assert capsys.readouterr().out.splitlines() == [
        "frames/train: 2 records as they were written",
        "pairs/train: 30 records as they were written",
        "pairs/val: 3 records as they were written",
        "text/train: 4 records as they were written",
    ]
    for name in ("frames", "text"):
        (path,) = shards.glob(f"{name}/1.0.0/{name}-train.array_record*")
        data = bytearray(path.read_bytes())
        data[150] ^= 1
        time_ns = path.stat().st_mtime_ns
        path.write_bytes(data)
        if name == "text":
            os.utime(path, ns=(time_ns, time_ns))
    assert _run(shards, "--verify") == 78
    out, err = capsys.readouterr()
    assert [line[:33] for line in out.splitlines()] == [
        "dataset 'frames', split 'train' is"[:33],
        "pairs/train: 30 records as they w",
        "pairs/val: 3 records as they were",
        "dataset 'text', split 'train' is "[:33],
    ]
    assert "2 files are damaged" in err


def test_no_text_of_a_record_moves_the_cursor(tmp_path, capsys):
    turns = (("human", "a\x1b[2J"), ("assistant", "b\x1b]0;title\x07 \x9b31m"))
    record = Record("id\x1b[1A", "text\x1b[31m", (), turns, {"note": "\x1b[5m"})
    write_dataset(tmp_path, "odd", {"train": [record]}, "made up")
    assert _run(tmp_path, "--name=odd", "--split=train", "--first=1") == 0
    told = capsys.readouterr().out
    assert "\\x1b[2J" in told
    assert not {"\x1b", "\x07", "\x9b"} & {*told}
