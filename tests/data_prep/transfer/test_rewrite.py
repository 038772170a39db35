"""The first step as a command: rules, a model, a kill in between."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from babyvlm_jax.data.schema import write_dataset
from data_prep.transfer.__main__ import main
from tests.data_prep.coloured import captioned, pair
from tests.data_prep.transfer.chat_stub import KEY, serve

ROOT = Path(__file__).parents[3]
CAPTIONS = [f"a red ball with number {i}" for i in range(30)] + ["advert for a phone"]


@pytest.fixture
def shards(tmp_path):
    folder = tmp_path / "shards"
    made = [captioned(f"c{i:02d}", {"red": 1}, text) for i, text in enumerate(CAPTIONS)]
    made.append(captioned("again", {"blue": 1}, CAPTIONS[0]))
    odd = captioned("odd", {"red": 1}, "x")
    turns = (*odd.turns, ("human", "and?"), ("assistant", "two answers"))
    made.append(type(odd)("odd", odd.source, odd.images, turns))
    write_dataset(folder, "general", {"train": made}, "test")
    said = [pair(f"s{i}", {"red": 1}, "see the ball") for i in range(4)]
    write_dataset(folder, "filtered", {"train": said}, "test")
    return folder


def _run(*argv) -> int:
    with pytest.raises(SystemExit) as stop:
        main([str(one) for one in argv])
    return stop.value.code


def _rules(shards, out):
    return ("rewrite", shards, "--name=general", f"--target={shards}", f"--out={out}")


def _chat(shards, out, stub, *more):
    return (
        *("rewrite", shards, "--name=general", f"--out={out}", "--rewriter=chat"),
        *(f"--endpoint={stub.url}", "--model=tiny", "--captions-per-request=4"),
        *more,
    )


def _rows(out):
    return {
        row["id"]: row for row in pq.read_table(out / "rewritten.parquet").to_pylist()
    }


def test_rules_need_no_network(shards, tmp_path, capsys):
    out = tmp_path / "transfer"
    assert _run(*_rules(shards, out)) == 0
    rows = _rows(out)
    assert len(rows) == 32
    assert "red ball" in rows["c00"]["utterance"]
    assert not rows["c30"]["keep"]
    done = json.loads((out / "rewrite.json").read_text())
    assert done["without"] == {"not_a_caption": 1}
    assert (done["captions"], done["distinct"]) == (32, 31)
    assert done["identity"]["rewriter"]["kind"] == "rules"
    assert "31 of 32 pairs are kept" in capsys.readouterr().out
    assert _run(*_rules(shards, out)) == 0  # done already


def test_captions_may_stay_as_they_are(shards, tmp_path):
    out = tmp_path / "transfer"
    flags = ("--name=general", f"--out={out}", "--rewriter=none")
    assert _run("rewrite", shards, *flags) == 0
    rows = _rows(out).values()
    assert all(row["keep"] and row["utterance"] == row["caption"] for row in rows)


def test_a_model_is_asked_once_about_each_caption(
    shards, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    out = tmp_path / "transfer"
    with serve([429, "garbage"]) as stub:
        assert _run(*_chat(shards, out, stub)) == 0
        asked = [text for request in stub.captions for text in request]
        assert set(asked) == set(CAPTIONS)
        assert len(asked) == len(CAPTIONS) + 4  # a request of four was asked again
        rows = _rows(out)
        assert rows["c03"]["utterance"] == "look, a red ball with number 3!"
        assert rows["again"]["utterance"] == rows["c00"]["utterance"]
        assert not rows["c30"]["keep"]
        assert rows["c03"]["number"] != rows["c04"]["number"]
        # another folder, the same cache: nothing is asked
        more = f"--cache={out / 'answers.sqlite'}"
        count = len(stub.bodies)
        assert _run(*_chat(shards, tmp_path / "other", stub, more)) == 0
        assert len(stub.bodies) == count
    assert _rows(tmp_path / "other") == rows
    told = capsys.readouterr()
    for path in filter(Path.is_file, tmp_path.rglob("*")):
        assert KEY.encode() not in path.read_bytes()
    assert KEY not in told.out + told.err


def test_a_dry_run_tells_the_cost_and_sends_nothing(shards, tmp_path, capsys):
    with serve() as stub:
        prices = ("--dry-run", "--price-in=1", "--price-out=2")
        assert _run(*_chat(shards, tmp_path / "t", stub, *prices)) == 0
        assert not stub.bodies
    told = capsys.readouterr().out
    assert "31 captions in 8 requests: about " in told
    assert "about $" in told
    assert CAPTIONS[0] in told
    assert not (tmp_path / "t").exists()


@pytest.mark.integration
def test_a_killed_run_asks_only_what_is_left(shards, tmp_path):
    out = tmp_path / "transfer"
    with serve(["slow"] * 100) as stub:
        argv = _chat(shards, out, stub, "--concurrency=1")
        command = [sys.executable, "-m", "data_prep.transfer", *map(str, argv)]
        child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 600
        while len(stub.captions) < 4:
            assert child.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < give_up
            time.sleep(0.01)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        before = [text for request in stub.captions[:-1] for text in request]
        assert len(before) >= 12
        assert not (out / "rewritten.parquet").exists()
        stub.faults.clear()
        first = len(stub.captions)
        assert _run(*argv) == 0
        after = [text for request in stub.captions[first:] for text in request]
    # what was being answered at the kill may be asked twice, nothing else
    assert set(before[:-4]).isdisjoint(after)
    assert set(before) | set(after) == set(CAPTIONS)
    assert sum(row["keep"] for row in _rows(out).values()) == 31


def test_a_server_that_fails_is_exit_code_75(shards, tmp_path, capsys):
    out = tmp_path / "transfer"
    with serve([500] * 99) as stub:
        assert _run(*_chat(shards, out, stub, "--attempts=1")) == 75
    assert "run the same command again" in capsys.readouterr().err
    assert not (out / "rewrite.json").exists()


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--rewriter=chat"], "needs --endpoint"),
        (["--rewriter=chat", "--endpoint=http://h"], "needs --model"),
        (["--rewriter=chat", "--endpoint=h", "--model=m"], "expected http"),
        (
            ["--rewriter=chat", "--endpoint=http://[", "--model=m"],
            "--endpoint=http://[",
        ),
        (["--rewriter=chat", "--endpoint=http://a:b@h", "--model=m"], "see --key-env"),
        ([], "needs --target"),
        (["--dry-run", "--target=SHARDS"], "others cost nothing"),
        (
            ["--rewriter=chat", "--endpoint=http://h", "--model=m", "--max-cost=1"],
            "needs --price-in",
        ),
        (
            ["--rewriter=chat", "--endpoint=http://h", "--model=m", "--timeout-s=0"],
            "--timeout-s=0",
        ),
    ],
)
def test_bad_flags_are_one_line(shards, tmp_path, capsys, flags, said):
    flags = [flag.replace("SHARDS", str(shards)) for flag in flags]
    out = f"--out={tmp_path / 'out'}"
    assert _run("rewrite", shards, "--name=general", out, *flags) == 78
    assert said in capsys.readouterr().err.splitlines()[-1]


def test_another_limit_rewrites_again_and_another_corpus_is_refused(
    shards, tmp_path, capsys
):
    out = tmp_path / "transfer"
    assert _run(*_rules(shards, out)) == 0
    assert _run(*_rules(shards, out), "--limit=5") == 0
    assert "made again, changed: limit (" in capsys.readouterr().out
    assert json.loads((out / "rewrite.json").read_text())["captions"] == 5
    assert _run(*_rules(shards, out), "--name=filtered") == 78
    assert "holds rewriting of the captions of general" in capsys.readouterr().err
