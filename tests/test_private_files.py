"""Whatever may hold a child's frames or words is made for its owner alone."""

import ast
import os
import pathlib
import stat

import numpy as np
import pytest

from babyvlm_jax.data.features import FeatureStore
from babyvlm_jax.data.schema import Record, write_dataset
from babyvlm_jax.data.shards import write_shard
from babyvlm_jax.interchange.importing import appearing
from babyvlm_jax.runtime import lock
from babyvlm_jax.runtime.errors import printable, run_main
from babyvlm_jax.runtime.files import write_atomically
from babyvlm_jax.training import checkpoint
from tests.data.test_features import FACTS

ROOT = pathlib.Path(__file__).parents[1]
RECORD = Record("a", "text", (), (("assistant", "look"),))


def _write_everything(out: pathlib.Path) -> None:
    """By each of the ways in which the project's files come to be."""
    out.mkdir()
    write_dataset(out, "text", {"train": [RECORD]}, "made up")
    write_shard(out / "shard.array_record", [RECORD])
    FeatureStore.begin(out / "features", FACTS).add(
        [1], np.zeros((1, 2, 3), np.float16)
    )
    checkpoint.save_params(out / "run", 0, {"w": np.zeros(3, np.float32)})
    write_atomically(out / "deep" / "metrics.json", b"{}")
    with lock.held(out / "run"), appearing(out / "exported") as folder:
        (folder / "model.txt").write_text("weights")
    os.system(f"touch {out}/by_a_child")


@pytest.mark.parametrize(
    ("argv", "environment", "group"),
    [
        ([], "", 0),
        (["--share=owner"], "group", 0),
        (["--share=group"], "", stat.S_IRGRP),
        (["--share", "group"], "", stat.S_IRGRP),
        ([], "group", stat.S_IRGRP),
    ],
)
def test_files_are_for_their_owner(tmp_path, monkeypatch, argv, environment, group):
    monkeypatch.setattr("sys.argv", ["command", *argv])
    monkeypatch.setenv("BABYVLM_SHARE", environment)
    before = os.umask(0o022)
    try:
        with pytest.raises(SystemExit, match="0"):
            run_main(lambda: _write_everything(tmp_path / "out"))
        assert os.umask(0o022) == 0o022  # of who called stays as it was
    finally:
        os.umask(before)
    found = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
    assert len(found) > 20
    for path in found:
        mode = stat.S_IMODE(path.stat().st_mode)
        assert not mode & (stat.S_IRWXO | stat.S_IWGRP), path
        assert mode & stat.S_IRGRP == group, path


def test_an_unknown_share_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["command", "--share=world"])
    monkeypatch.setenv("BABYVLM_SHARE", "")
    with pytest.raises(SystemExit, match="78"):
        run_main(lambda: None)
    assert (
        "--share=world: expected one of ('owner', 'group')" in capsys.readouterr().err
    )


def test_every_command_goes_through_run_main():
    """Directly, or through a function of the package that does."""
    goes = {"run_main", "run_config_command", "run_import_command"}
    paths = (
        p for name in ("babyvlm_jax", "data_prep") for p in (ROOT / name).rglob("*.py")
    )
    texts = ((path, path.read_text(encoding="utf-8")) for path in paths)
    trees = {
        path: ast.parse(text)
        for path, text in texts
        if "run_main" in text or "__name__" in text
    }

    def names(tree):
        return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}

    for tree in trees.values():
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and "run_main" in names(node):
                goes.add(node.name)
    commands = [
        path
        for path, tree in trees.items()
        if any(
            isinstance(node, ast.If) and "__name__" in names(node.test)
            for node in tree.body
        )
    ]
    assert len(commands) > 15
    for path in commands:
        assert names(trees[path]) & goes, path


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain \u2013 caf\u00e9 \u72ac\n\tx", "plain \u2013 caf\u00e9 \u72ac\n\tx"),
        ("a\x1b[2Jb\rc", "a\\x1b[2Jb\\rc"),
        ("\x9b31m\x00\x7f", "\\x9b31m\\x00\\x7f"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
    ],
)
def test_control_characters_are_spelt_out(text, shown):
    assert printable(text) == shown
