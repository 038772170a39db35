import json

import pytest

from babyvlm_jax.evals.compare import compare
from babyvlm_jax.evals.scoring import Answer, make_line
from babyvlm_jax.evals.tasks import TASKS
from babyvlm_jax.runtime.errors import UserError
from tests.evals.contents import content, entry
from tests.evals.samples import record

TEXT = "<image> How many of cup do you see?"


def write(folder, replies, source=""):
    """An evaluation whose items c0, c1, ... all count 3."""
    folder.mkdir(parents=True)
    items = {f"c{i}": record("count", TEXT, "3", name=f"c{i}") for i in range(20)}
    lines = [
        make_line(TASKS["count"], source, items[name], Answer("generate", "", [reply]))
        for name, reply in replies.items()
    ]
    blank = Answer("generate", "no_image", ["3"])
    lines += [make_line(TASKS["count"], source, items[name], blank) for name in replies]
    key = f"{source}/count" if source else "count"
    whole = content({key: entry("Count", 0.1, 0.1, 0.1, 0.1)}, sources=(source,))
    (folder / "results.json").write_text(json.dumps(whole))
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "predictions.jsonl").write_text(text)
    return str(folder)


def replies(right, number=10, first=0):
    return {f"c{first + i}": "3" if i < right else "4" for i in range(number)}


def test_runs_are_compared_on_the_items_that_they_share(tmp_path):
    a = write(tmp_path / "a", replies(2))
    b = write(tmp_path / "b", replies(10, number=12))
    c = write(tmp_path / "c", replies(2))
    header, row = compare([a, b, c], "strict")
    apart = ("difference", "p", "Holm")
    assert header == ("task", "n", "clusters", a, b, *apart, c, *apart)
    title, n, clusters, first, better, apart, p, holm, same, none, p_same, _ = row
    assert (title, n, clusters) == ("Count", "10", "10")
    assert (first, better, same) == ("20.0", "100.0", "20.0")
    assert apart.startswith("+80.0 [+")
    assert p == holm == ".008"  # eight differ, all one way: 2 of 2^8 throws
    assert (none, p_same) == ("+0.0 [-30.8, +30.8]", "1.000")


def test_either_parser_can_be_asked(tmp_path):
    a = write(tmp_path / "a", dict.fromkeys(replies(1), "eleven"))
    b = write(tmp_path / "b", dict.fromkeys(replies(1), "eleven or 3"))
    assert compare([a, b], "strict")[1][4] == "0.0"
    assert compare([a, b], "official")[1][4] == "100.0"


def test_sources_are_named(tmp_path):
    a = write(tmp_path / "a", replies(1), source="nih")
    b = write(tmp_path / "b", replies(1), source="nih")
    assert compare([a, b], "strict")[1][0] == "nih: Count"


def test_what_cannot_be_compared(tmp_path):
    a = write(tmp_path / "a", replies(1))
    other = write(tmp_path / "b", replies(1, first=10))
    with pytest.raises(UserError, match="two runs or more"):
        compare([a], "strict")
    with pytest.raises(UserError, match="no items in common"):
        compare([a, other], "strict")
    (tmp_path / "b" / "predictions.jsonl").write_text('{"task": "count"}\n')
    with pytest.raises(UserError, match="damaged or older"):
        compare([a, other], "strict")
