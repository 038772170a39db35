"""Flags that several commands share."""

import importlib
import sys

import pytest

BUILD = ("data_prep.devcv.__main__", "build", "--raw=x", "--out=x")
BENCHMARKS = ("data_prep.v1bench.__main__", "build", "--raw=x", "--out=x")
MATCH = ("data_prep.transfer.__main__", "match", "x", "--target=x", "--embedder=x")
REWRITE = ("data_prep.transfer.__main__", "rewrite", "x", "--name=x", "--out=x")


@pytest.mark.parametrize(
    ("command", "flags"),
    [
        (("data_prep.nursery.__main__", "--out=x"), "workers"),
        (("data_prep.text_corpus", "x", "--out=x"), "workers"),
        (("data_prep.llava_json", "--json=x", "--out=x"), "workers"),
        (("data_prep.filter", "x", "--scorer=x", "--out=x"), "image-size batch-size"),
        (MATCH, "num-targets k widest passes max-edges subsample batch-size"),
        (REWRITE, "limit captions-per-request concurrency attempts"),
        (BUILD, "train val test workers"),
        (("data_prep.devcv.__main__", "import", "--from=x", "--out=x"), "workers"),
        (("data_prep.devcv.__main__", "audit", "x"), "workers"),
        (BENCHMARKS, "number image-side max-frames workers"),
    ],
)
def test_numbers_are_positive(monkeypatch, capsys, command, flags):
    module, *argv = command
    main = importlib.import_module(module).main
    for flag in flags.split():
        monkeypatch.setattr(sys, "argv", ["command", *argv, f"--{flag}=0"])
        with pytest.raises(SystemExit) as stop:
            main()
        assert stop.value.code == 78
        expected = f"argument --{flag}: 0 is not a positive number"
        assert expected in capsys.readouterr().err
